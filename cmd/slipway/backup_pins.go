package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"slipway/deploy"
)

// errPruned says that a release which served at the head has gone.
var errPruned = errors.New("it is not there")

// pins hold releases and their plans while a backup is made: hard links in a folder of the data
// directory, so that pruning takes away names only. Nobody writes to a release, so what is linked stays
// as it is.
type pins struct{ layout deploy.Layout }

// folderName is where the pins are, in the data directory. A backup that was killed leaves it to the next.
const pinsFolder = "backup.tmp"

func (p pins) dir(elem ...string) string {
	return filepath.Join(append([]string{string(p.layout), pinsFolder}, elem...)...)
}

func (p pins) drop() error {
	if err := os.RemoveAll(p.dir()); err != nil {
		return fmt.Errorf("removing what an earlier backup held: %w", err)
	}
	return nil
}

// hold pins every release of an app that the records name. The one that serves, and a candidate that a
// recovery would have to take back, must be there; of others it is enough to go without.
func (p pins) hold(ctx context.Context, known *replayed, app deploy.AppName, serving deploy.Number) error {
	needed := map[deploy.Number]bool{}
	if serving != 0 {
		needed[serving] = true
	}
	unfinished, err := known.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, d := range unfinished {
		if d.App == app && !d.SwitchedAt.IsZero() {
			needed[d.Release()] = true
		}
	}
	wanted := map[deploy.Number]bool{}
	releases, err := known.Releases(ctx, app)
	if err != nil && !errors.Is(err, deploy.ErrNotFound) {
		return err
	}
	for _, r := range releases {
		wanted[r.Number] = true
	}
	for n := range needed {
		wanted[n] = true
	}
	for n := range wanted {
		err := p.pin(ctx, app, n)
		switch {
		case errors.Is(err, fs.ErrNotExist) && needed[n]:
			return fmt.Errorf("release %s of %s: %w; see: slipway doctor", n, app, errPruned)
		case errors.Is(err, fs.ErrNotExist):
			if err := os.RemoveAll(p.dir(string(app), n.String())); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("holding release %s of %s: %w", n, app, err)
		}
	}
	return nil
}

// pin links one release and its plan.
func (p pins) pin(ctx context.Context, app deploy.AppName, n deploy.Number) error {
	to := p.dir(string(app), n.String())
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	plan := n.String() + ".json"
	if err := os.Link(filepath.Join(p.layout.Instances(app), plan), filepath.Join(to, "plan")); err != nil {
		return err
	}
	return linkTree(ctx, p.layout.Release(app, n), filepath.Join(to, "tree"))
}

// linkTree makes a folder like from, its files being the same files.
func linkTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		name := filepath.Join(to, rel)
		if !e.IsDir() {
			return os.Link(path, name) // of a symbolic link, the link itself (link(2))
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if err := os.Mkdir(name, 0o700); err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
			if err := os.Chown(name, int(stat.Uid), int(stat.Gid)); err != nil {
				return err
			}
		}
		return os.Chmod(name, info.Mode()|0o700) // files are still to be linked into it
	})
}
