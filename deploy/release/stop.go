package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/keeper"
)

// Stop ends the instances of release n, after the requests that are in flight to it have been answered,
// for which drain is the longest it waits. It refuses to stop what serves. Where no instance
// runs there is nothing to do. What the instances said last is in the deployment's folder afterwards.
func (e *Local) Stop(ctx context.Context, t deploy.Target, n deploy.Number, drain time.Duration) error {
	if len(e.foldersOf(t.App, n)) == 0 {
		return nil
	}
	serving, err := e.Serving(ctx, t)
	if err == nil && serving == n {
		return fmt.Errorf("stopping release %s of %s: it serves", n, t)
	}
	if err == nil {
		err = e.config.Router.Drain(ctx, t.App, n, drain)
	}
	if err != nil { // a router that is away, or a client that never ends, does not keep it alive
		e.config.Logger.Warn("stopping a release that was not drained", "target", t.String(), "release", n.String(), "err", err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stopping release %s of %s: %w", n, t, context.Cause(ctx))
	}
	return e.end(ctx, t.App, n, e.config.Grace)
}

func (e *Local) foldersOf(app deploy.AppName, n deploy.Number) []folder {
	return slices.DeleteFunc(e.folders(app), func(f folder) bool { return f.release != n })
}

// end ends the instances of a release beside each other, whatever they are doing, and the release
// command's processes.
func (e *Local) end(ctx context.Context, app deploy.AppName, n deploy.Number, grace time.Duration) error {
	return errors.Join(e.endFolders(ctx, app, e.foldersOf(app, n), grace), e.killStray(ctx, app, func(m deploy.Number) bool { return m == n }))
}

func (e *Local) endFolders(ctx context.Context, app deploy.AppName, folders []folder, grace time.Duration) error {
	errs := make(chan error)
	for _, f := range folders {
		go func() { errs <- e.endFolder(ctx, app, f, grace) }()
	}
	var all []error
	for range folders {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func (e *Local) endFolder(ctx context.Context, app deploy.AppName, f folder, grace time.Duration) error {
	box := ""
	s, err := readSpec(f.path)
	if err == nil {
		box = s.Sandbox.Name
	} else if !errors.Is(err, fs.ErrNotExist) {
		e.config.Logger.Warn("ending an instance with a broken spec", "instance", f.name, "err", err)
	}
	hold, err := e.halt(ctx, f.path, box, grace)
	if err != nil {
		return err
	}
	defer hold.Close()
	e.saveLog(f)
	if err := os.RemoveAll(f.path); err != nil {
		return fmt.Errorf("removing an instance of %s: %w", app, err)
	}
	return nil
}

// halt ends the keeper of a folder and with it its instance, and then whatever else runs in the
// sandbox of that name ("" for none known). No keeper can start there until the returned closer is
// closed.
func (e *Local) halt(ctx context.Context, folder, box string, grace time.Duration) (io.Closer, error) {
	hold, err := keeper.Vacate(ctx, folder, grace)
	if err != nil {
		return nil, fmt.Errorf("ending instance %s: %w", filepath.Base(folder), err)
	}
	if box != "" {
		err = e.config.Sandbox.KillAll(ctx, box)
	}
	if err != nil {
		hold.Close()
		return nil, fmt.Errorf("ending instance %s: %w", filepath.Base(folder), err)
	}
	return hold, nil
}

// saveLog keeps what an instance said last, and what it said before that, if there is any, where a
// deployment's logs are.
func (e *Local) saveLog(f folder) {
	dir := e.layout.Deployment(f.release)
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	name := strings.TrimPrefix(f.name, f.release.String()+"-")
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		name = name[:i] + "." + name[i+1:]
	}
	for suffix, kept := range map[string]string{".1": ".older.log", "": ".log"} {
		from := keeper.LogPath(f.path) + suffix
		if info, err := os.Stat(from); err != nil || info.Size() == 0 {
			continue
		}
		// Worth keeping, not worth failing for.
		if err := os.Rename(from, filepath.Join(dir, name+kept)); err != nil {
			e.config.Logger.Warn("keeping an instance's log", "instance", f.name, "err", err)
		}
	}
}

// killStray ends sandboxes of the app that no keeper answers for.
func (e *Local) killStray(ctx context.Context, app deploy.AppName, of func(deploy.Number) bool) error {
	names, err := e.config.Sandbox.Names()
	if err != nil {
		return fmt.Errorf("listing sandboxes: %w", err)
	}
	var errs []error
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, string(app)+".")
		number, _, _ := strings.Cut(rest, ".")
		n, err := strconv.ParseInt(number, 10, 64)
		if ok && err == nil && of(deploy.Number(n)) {
			errs = append(errs, e.config.Sandbox.KillAll(ctx, name))
		}
	}
	return errors.Join(errs...)
}

// Sweep ends the instances of every release of the target that is not to be kept, without draining, and
// removes what crashes have left: work trees, plans and half removed releases. Releases stay for Prune.
func (e *Local) Sweep(ctx context.Context, t deploy.Target, keep ...deploy.Number) error {
	folders := slices.DeleteFunc(e.folders(t.App), func(f folder) bool { return slices.Contains(keep, f.release) })
	return errors.Join(
		e.endFolders(ctx, t.App, folders, candidateGrace),
		e.killStray(ctx, t.App, func(n deploy.Number) bool { return !slices.Contains(keep, n) }),
		e.sweep(t.App, keep))
}

// Prune removes the app's releases but the newest keepN and those to keep. Before each of them about is called,
// whose error ends it. A release that is current, serves, has instances, or is where a command of [Local.OneOff]
// works is never removed.
func (e *Local) Prune(ctx context.Context, app deploy.AppName, keep []deploy.Number, keepN int, about func(deploy.Number) error) error {
	serving, err := e.Serving(ctx, deploy.Target{App: app, Environment: deploy.Production})
	if err != nil {
		return fmt.Errorf("pruning %s: %w", app, err)
	}
	used, err := e.inUse(app)
	if err != nil {
		return fmt.Errorf("pruning %s: %w", app, err)
	}
	keep = append(slices.Concat(keep, used), serving)
	for _, f := range e.folders(app) {
		keep = append(keep, f.release)
	}
	return e.prune(app, keep, keepN, about)
}
