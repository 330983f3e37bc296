package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/deploy"
)

// Settle ends what a server that was killed left unfinished, and sees to it that every app serves
// what the records say and that its ref says the same. It must return before the first push is heard.
// An app that cannot be settled is frozen and reported; the others are served all the same. The error
// is for what keeps the server from starting: records that cannot be read.
func (p *Pipeline) Settle(ctx context.Context) error {
	if err := p.Runner.EndAll(ctx); err != nil { // a deployment that has its verdict may still have had a hook to run
		p.Logger.Error("ending what a server left", "error", err)
	}
	unfinished, err := p.History.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("listing unfinished deployments: %w", err)
	}
	for _, d := range unfinished {
		if err := p.settle(ctx, &d); err != nil {
			p.Logger.Error("settling a deployment", "deployment", d.Number, "app", d.App, "error", err)
			p.freeze(ctx, d.Target(), fmt.Sprintf("deployment %d was interrupted and could not be settled", d.Number))
		}
	}
	if err := p.sweepFolders(ctx); err != nil {
		return err
	}
	apps, err := p.History.Apps(ctx)
	if err != nil {
		return fmt.Errorf("listing apps: %w", err)
	}
	for _, app := range apps {
		if err := p.agree(ctx, app); err != nil {
			p.Logger.Error("putting an app right", "app", app.Name, "error", err)
		}
	}
	return nil
}

// sweepFolders removes the folders of deployments that were never recorded: the server was killed before
// they were.
func (p *Pipeline) sweepFolders(ctx context.Context) error {
	last, err := p.Records.LastNumber(ctx)
	if err != nil {
		return fmt.Errorf("reading the last deployment's number: %w", err)
	}
	entries, err := os.ReadDir(filepath.Dir(p.Layout.Deployment(last)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listing the deployments' folders: %w", err)
	}
	for _, e := range entries {
		n, err := deploy.ParseNumber(e.Name())
		if err != nil || n <= last {
			continue
		}
		if err := os.RemoveAll(p.Layout.Deployment(n)); err != nil {
			return fmt.Errorf("removing the folder of a deployment that nobody knows: %w", err)
		}
	}
	return nil
}

// settle brings one unfinished deployment to its end, by how far it had come.
func (p *Pipeline) settle(ctx context.Context, d *deploy.Deployment) error {
	p.Logger.Info("settling an unfinished deployment", "deployment", d.Number, "app", d.App, "status", d.Status, "switched", !d.SwitchedAt.IsZero())
	switch {
	case d.Status == deploy.StatusAccepted:
		return p.finishAccepted(ctx, d)
	case !d.SwitchedAt.IsZero() && d.RolledBackAt.IsZero():
		if err := p.undoSwitch(ctx, d); err != nil {
			return err
		}
	}
	if err := p.clear(ctx, d); err != nil {
		return err
	}
	r := deploy.Reject(deploy.CodeUnavailable, "interrupted: the server went away").WithHint("push again")
	return p.recordSettled(ctx, d, deploy.Event{Type: deploy.EventInterrupted, Outcome: deploy.OutcomeFault, Reason: r.Message}.WithData(r))
}

func (p *Pipeline) recordSettled(ctx context.Context, d *deploy.Deployment, e deploy.Event) error {
	e.Actor = deploy.ServerActor("recovery")
	e.App, e.Environment, e.Ref, e.Old, e.New, e.Deployment = d.App, d.Environment, d.Ref, d.Old, d.New, d.Number
	if _, err := p.Recorder.Record(ctx, e); err != nil {
		return fmt.Errorf("recording %s: %w", e.Type, err)
	}
	return nil
}

// undoSwitch gives the traffic back to the release that served before d.
func (p *Pipeline) undoSwitch(ctx context.Context, d *deploy.Deployment) error {
	ctx, cancel := context.WithTimeout(ctx, p.UndoTimeout)
	defer cancel()
	back := deploy.SwitchData{From: d.Release(), To: d.Previous}
	if err := p.recordSettled(ctx, d, deploy.Event{Type: deploy.EventRollbackIntended, Reason: "the server went away"}.WithData(back)); err != nil {
		return err
	}
	e, err := p.engineOf(ctx, d)
	if err != nil {
		return err
	}
	if err := p.returnTraffic(ctx, e, d.Target(), back); err != nil {
		failed := deploy.Event{Type: deploy.EventRollbackFailed, Outcome: deploy.OutcomeFault, Reason: "production could not be put back"}
		return errors.Join(err, p.recordSettled(ctx, d, failed.WithData(back)))
	}
	return p.recordSettled(ctx, d, deploy.Event{Type: deploy.EventRollbackDone}.WithData(back))
}

// engineOf tells where a deployment's release runs.
func (p *Pipeline) engineOf(ctx context.Context, d *deploy.Deployment) (Engine, error) {
	m, err := p.manifestOf(ctx, d.App, d.Release())
	if err != nil {
		return nil, err
	}
	return p.engine(m), nil
}

// manifestOf returns the manifest that was in force when a release was made. The release's own tree is
// asked only where that is not known any more: what is built and tested there may have written to it, and
// it may be gone already.
func (p *Pipeline) manifestOf(ctx context.Context, app deploy.AppName, n deploy.Number) (m *deploy.Manifest, err error) {
	b, err := os.ReadFile(filepath.Join(p.Layout.Deployment(n), ManifestFile))
	switch {
	case err == nil:
		m, err = p.Parse(ManifestFile, b)
	case errors.Is(err, fs.ErrNotExist):
		m, err = p.Builder.Read(ctx, p.Layout.Release(app, n))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of release %d: %w", n, asFault(err))
	}
	return m, nil
}

// finishAccepted does the compare-and-swap of an accepted deployment again, if the ref is still old.
func (p *Pipeline) finishAccepted(ctx context.Context, d *deploy.Deployment) error {
	now, err := p.Refs.Resolve(ctx, d.App, d.Ref)
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.Ref, err)
	}
	if now != d.New {
		tx, err := p.Refs.Prepare(ctx, d.App, deploy.RefUpdate{Ref: d.Ref, Old: d.Old, New: d.New})
		if err != nil {
			return fmt.Errorf("locking %s: %w", d.Ref, asFault(err))
		}
		defer func() { _ = tx.Abort() }()
		if err := tx.Commit(ctx); err != nil {
			return fmt.Errorf("moving %s: %w", d.Ref, err)
		}
	}
	return p.recordSettled(ctx, d, deploy.Event{Type: deploy.EventRefMoved})
}

// agree makes what really serves an app be what the records say, and looks whether the ref says so
// too. A ref that says something else is drift: reported and frozen, never guessed. A release that does
// not come up is reported.
func (p *Pipeline) agree(ctx context.Context, app deploy.App) error {
	target := deploy.Target{App: app.Name, Environment: deploy.Production}
	state, err := p.Records.TargetState(ctx, target)
	if err != nil {
		return fmt.Errorf("reading the target's state: %w", err)
	}
	err = p.compare(ctx, app, state)
	if d, ok := errors.AsType[*drifted](err); ok && state.Frozen == "" {
		p.drift(ctx, target, d.reason)
		p.freeze(ctx, target, "drift: "+d.reason)
	} else if err != nil && !ok {
		return err
	}
	if err := p.serve(ctx, target, state); err != nil {
		// Not frozen: its keeper goes on starting it, and the next push may be what mends it.
		p.drift(ctx, target, fmt.Sprintf("release %d does not serve", state.Serving))
		return err
	}
	keep := []deploy.Number{}
	if state.Serving != 0 {
		keep = append(keep, state.Serving)
		if err := p.Releases.MarkCurrent(app.Name, state.Serving); err != nil {
			return err
		}
	}
	if err := p.Instances.Sweep(ctx, target, keep...); err != nil || state.Serving == 0 {
		return err
	}
	m, err := p.manifestOf(ctx, app.Name, state.Serving)
	if err == nil {
		p.pruneReleases(ctx, target, m.Deploy.KeepReleases)
	}
	return err
}

// serve sees to it that the recorded release serves.
func (p *Pipeline) serve(ctx context.Context, t deploy.Target, state deploy.TargetState) error {
	if state.Serving != 0 {
		e, err := p.engineOf(ctx, &deploy.Deployment{App: t.App, Number: state.Serving})
		if err != nil {
			return err
		}
		if e == p.External {
			return nil // production is elsewhere, and has its own life
		}
	}
	if err := p.Instances.Restore(ctx, t, state.Serving); err != nil {
		return fmt.Errorf("making release %d serve: %w", state.Serving, asFault(err))
	}
	return nil
}

func known(o deploy.OID) string {
	if o.IsZero() {
		return "nothing"
	}
	return o.Short()
}

func (p *Pipeline) drift(ctx context.Context, t deploy.Target, reason string) {
	event := deploy.Event{Type: deploy.EventDrift, Actor: deploy.ServerActor("recovery"), App: t.App, Environment: t.Environment, Reason: reason}
	if _, err := p.Recorder.Record(ctx, event); err != nil {
		p.Logger.Error("recording drift", "target", t.String(), "error", err)
	}
	p.Logger.Error("drift", "target", t.String(), "reason", reason)
}
