package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/deploy"
)

// Restart replaces the instances of the release that serves by new ones, with the app's variables as
// they are now. The new ones are ready before they get the traffic, and the old ones drain before they
// end; if the new ones fail, the old ones go on. Where nothing serves there is nothing to do.
func (e *Local) Restart(ctx context.Context, t deploy.Target) error {
	n, err := e.Serving(ctx, t)
	if err != nil || n == 0 {
		return err
	}
	p, err := e.plan(t.App, n)
	if err != nil {
		return err
	}
	specs, err := e.specs(t.App, n)
	if err != nil {
		return err
	}
	old := e.foldersOf(t.App, n)
	fresh, err := e.run(ctx, p, "release "+n.String(), highest(specs))
	if err != nil {
		clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		return errors.Join(err, e.endFolders(clear, t.App, e.others(t.App, n, old), candidateGrace))
	}
	if err := e.route(ctx, t, n, fresh); err != nil {
		return err
	}
	if err := e.config.Router.Drain(ctx, t.App, n, p.Job.Manifest.Deploy.DrainTimeout); err != nil {
		e.config.Logger.Warn("restarting a release that was not drained", "target", t.String(), "err", err)
	}
	if err := e.endFolders(ctx, t.App, old, e.config.Grace); err != nil {
		return fmt.Errorf("ending the old instances: %w", err)
	}
	return nil
}

func highest(specs []*spec) int {
	n := 0
	for _, s := range specs {
		n = max(n, s.Instance.Index)
	}
	return n
}

// others lists the folders of release n that are not among known.
func (e *Local) others(app deploy.AppName, n deploy.Number, known []folder) []folder {
	return slices.DeleteFunc(e.foldersOf(app, n), func(f folder) bool { return slices.Contains(known, f) })
}
