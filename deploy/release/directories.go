package release

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// RevisionFile is the file of a release that names its revision: the whole object id and a newline.
const RevisionFile = "REVISION"

// removing marks a directory that is on its way out, so that a half removed release is none.
const removing = ".removing"

// directories makes, names and removes release directories. Both engines have it.
type directories struct{ layout deploy.Layout }

// make turns the job's work tree into its release, which is on disk when [directories.sync] has returned.
// Until then the deployment is not switched to, and whatever a power cut leaves of it is cleared away.
// Where the release is there already, it stays.
func (d directories) make(job *deploy.Job) (*plan, error) {
	dir := d.layout.Release(job.App.Name, job.Number)
	if _, err := os.Lstat(dir); err == nil {
		p, err := d.plan(job.App.Name, job.Number)
		if err != nil {
			return nil, err
		}
		job.Tree = dir
		return p, nil
	}
	if err := os.MkdirAll(d.layout.Releases(job.App.Name), 0o755); err != nil {
		return nil, fmt.Errorf("making release %s: %w", job.Number, err)
	}
	p := newPlan(job, dir)
	if err := d.writePlan(p); err != nil {
		return nil, fmt.Errorf("making release %s: %w", job.Number, err)
	}
	if err := seal(job.Tree, job.Revision); err != nil {
		return nil, fmt.Errorf("making release %s: %w", job.Number, err)
	}
	if err := os.Rename(job.Tree, dir); err != nil {
		return nil, fmt.Errorf("making release %s: %w", job.Number, err)
	}
	job.Tree = dir
	return p, nil
}

// sync brings a release, its plan and both their names to disk. That takes a while, in which its
// instances can start.
func (d directories) sync(p *plan) error {
	tree, file := p.Job.Tree, d.planPath(p.Job.App.Name, p.Job.Number)
	var g errgroup.Group
	g.Go(func() error { return syncTree(tree) })
	for _, path := range []string{file, filepath.Dir(file), filepath.Dir(tree), d.layout.App(p.Job.App.Name)} {
		g.Go(func() error { return durable.Sync(path) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("bringing release %s to disk: %w", p.Job.Number, err)
	}
	return nil
}

// seal writes REVISION into the tree and takes its top from the app. That the app cannot write to it is
// the sandbox's doing, which mounts it read-only; its files keep their owner and modes, since the app must
// be able to read those that only the owner may.
func seal(tree string, revision deploy.OID) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	// The pushed tree may hold a REVISION of its own, which may be a link or a folder.
	if err := root.RemoveAll(RevisionFile); err != nil {
		return err
	}
	f, err := root.OpenFile(RevisionFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, revision)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	top, err := root.Open(".")
	if err != nil {
		return err
	}
	defer top.Close()
	if err := top.Chown(os.Getuid(), os.Getgid()); err != nil {
		return err
	}
	return top.Chmod(0o755)
}

// unmake turns the release of a job back into the work tree it was, so that there is none.
func (d directories) unmake(job *deploy.Job, tree string) error {
	dir := d.layout.Release(job.App.Name, job.Number)
	if tree == dir { // it was there before, made by a server that was killed
		return d.remove(job.App.Name, job.Number)
	}
	err := os.Rename(dir, tree)
	job.Tree = tree
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) { // there is a work tree
		return fmt.Errorf("taking back release %s: %w", job.Number, err)
	}
	return d.remove(job.App.Name, job.Number)
}

// Remove deletes release n and its plan. It is no error if there is none. Nothing of it may run.
func (d directories) Remove(app deploy.AppName, n deploy.Number) error { return d.remove(app, n) }

// remove deletes a release and its plan. It is no error if there is none.
func (d directories) remove(app deploy.AppName, n deploy.Number) error {
	dir := d.layout.Release(app, n)
	err := os.Rename(dir, dir+removing)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		if err = removeAll(dir + removing); err == nil {
			err = os.Rename(dir, dir+removing)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing release %s: %w", n, err)
	}
	if err := removeAll(dir + removing); err != nil {
		return fmt.Errorf("removing release %s: %w", n, err)
	}
	if err := os.Remove(d.planPath(app, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing release %s: %w", n, err)
	}
	return nil
}

// removeAll is os.RemoveAll for trees that hold folders nobody may write to, as Go's module cache
// does.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = os.Chmod(name, 0o700) // what cannot be helped shows in RemoveAll
		}
		return nil
	})
	return os.RemoveAll(path)
}

// numbers lists the releases that are there, newest first.
func (d directories) numbers(app deploy.AppName) ([]deploy.Number, error) {
	entries, err := os.ReadDir(d.layout.Releases(app))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing releases: %w", err)
	}
	var found []deploy.Number
	for _, e := range entries {
		if n, err := deploy.ParseNumber(e.Name()); err == nil && e.IsDir() {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	slices.Reverse(found)
	return found, nil
}

// MarkCurrent makes the app's current link point to release n in one step; 0 removes it.
func (d directories) MarkCurrent(app deploy.AppName, n deploy.Number) error {
	link := d.layout.Current(app)
	if n == 0 {
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("marking the current release: %w", err)
		}
		return durable.SyncDirs(filepath.Dir(link))
	}
	if _, err := os.Stat(d.layout.Release(app, n)); err != nil {
		return fmt.Errorf("marking the current release: %w", err)
	}
	to, err := filepath.Rel(filepath.Dir(link), d.layout.Release(app, n))
	if err != nil {
		return fmt.Errorf("marking the current release: %w", err)
	}
	if now, err := os.Readlink(link); err == nil && now == to {
		return nil
	}
	next := link + durable.NewSuffix
	_ = os.Remove(next) // a crash may have left it
	if err := os.Symlink(to, next); err != nil {
		return fmt.Errorf("marking the current release: %w", err)
	}
	if err := os.Rename(next, link); err != nil {
		return fmt.Errorf("marking the current release: %w", err)
	}
	return durable.SyncDirs(filepath.Dir(link))
}

// current is the release that the current link points to; 0 for none.
func (d directories) current(app deploy.AppName) deploy.Number {
	to, err := os.Readlink(d.layout.Current(app))
	if err != nil {
		return 0
	}
	n, err := deploy.ParseNumber(filepath.Base(to))
	if err != nil {
		return 0
	}
	return n
}

// prune removes the releases that are neither among the newest keepN nor named, nor current. Before each of
// them about is called, whose error ends it.
func (d directories) prune(app deploy.AppName, keep []deploy.Number, keepN int, about func(deploy.Number) error) error {
	numbers, err := d.numbers(app)
	if err != nil {
		return err
	}
	keep = append(slices.Clone(keep), d.current(app))
	for i, n := range numbers {
		if i < keepN || slices.Contains(keep, n) {
			continue
		}
		if err := about(n); err != nil {
			return err
		}
		if err := d.remove(app, n); err != nil {
			return err
		}
	}
	return d.removePlans(app, keep)
}

// sweep removes what crashes left: work trees and plans of deployments that are not to be kept, releases
// that were being removed, and files that were to take another one's place. Nothing else may be at work there.
func (d directories) sweep(app deploy.AppName, keep []deploy.Number) error {
	var errs []error
	work := filepath.Dir(d.layout.Work(app, 1))
	for _, e := range list(work) {
		if n, err := deploy.ParseNumber(e.Name()); err != nil || !slices.Contains(keep, n) {
			errs = append(errs, removeAll(filepath.Join(work, e.Name())))
		}
	}
	for _, e := range list(d.layout.Releases(app)) {
		if strings.HasSuffix(e.Name(), removing) {
			errs = append(errs, removeAll(filepath.Join(d.layout.Releases(app), e.Name())))
		}
	}
	for _, e := range list(d.layout.Instances(app)) {
		if strings.HasSuffix(e.Name(), durable.NewSuffix) && !e.IsDir() {
			errs = append(errs, os.Remove(filepath.Join(d.layout.Instances(app), e.Name())))
		}
	}
	if err := os.Remove(d.layout.Current(app) + durable.NewSuffix); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, d.removePlans(app, keep))...)
}

// removePlans removes the plans of releases that are gone and not to be kept.
func (d directories) removePlans(app deploy.AppName, keep []deploy.Number) error {
	var errs []error
	for _, e := range list(d.layout.Instances(app)) {
		n, err := deploy.ParseNumber(strings.TrimSuffix(e.Name(), planSuffix))
		if err != nil || e.IsDir() || slices.Contains(keep, n) {
			continue
		}
		if _, err := os.Lstat(d.layout.Release(app, n)); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, os.Remove(d.planPath(app, n)))
		}
	}
	return errors.Join(errs...)
}

// list returns the entries of a folder, none if it cannot be read.
func list(dir string) []fs.DirEntry {
	entries, _ := os.ReadDir(dir)
	return entries
}

// release describes the release of a plan.
func (p *plan) release(l deploy.Layout) deploy.Release {
	return deploy.Release{
		App: p.Job.App.Name, Number: p.Job.Number, Revision: p.Job.Revision,
		Dir: l.Release(p.Job.App.Name, p.Job.Number), CreatedAt: p.CreatedAt,
	}
}

func newPlan(job *deploy.Job, dir string) *plan {
	p := &plan{Job: *job, CreatedAt: time.Now()}
	p.Job.Tree = dir
	return p
}
