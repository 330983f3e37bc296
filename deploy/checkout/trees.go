// Package checkout makes the work trees of deployments, so that what a push waits for grows with what
// it changes and not with the tree.
//
// For each app there is one spare: a whole tree of the revision that was checked out last, which
// already belongs to the sandbox's user and is on disk. It is made in the background, after a deployment
// has ended. The next deployment's tree is that spare, moved into place by a rename and brought to the
// pushed revision by the difference of the two. Where there is none, the revision is checked out whole.
// So no two trees share a file: a build may write to any of its own, and a release stays as it is.
//
// What the spare holds is known in memory only. A server that starts makes it anew, so nothing has to
// be believed of a folder that a killed server or a power cut left behind.
//
// The package does not know git. Start reading at [Trees.Checkout].
package checkout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"slipway/deploy"
	"slipway/deploy/durable"
	"slipway/deploy/owner"
)

// Repository is where revisions are.
type Repository interface {
	Revision(deploy.AppName, deploy.OID) deploy.Revision
	// Advance makes dir, which holds exactly the files of the commit from, hold those of to, and
	// returns the paths that it wrote. After an error dir is of no use.
	Advance(ctx context.Context, app deploy.AppName, dir string, from, to deploy.OID) ([]string, error)
}

// Config is what [Trees] need. Every field is needed.
type Config struct {
	Layout     deploy.Layout
	Repository Repository
	// Owner is to whom the trees of the app with this number belong.
	Owner func(app uint32) (uid, gid int)
	// Room tells whether the disk has room for a spare of the app.
	Room   func(context.Context, deploy.App) bool
	Logger *slog.Logger
}

// Trees makes work trees. It is safe for concurrent use.
type Trees struct {
	config Config
	remove func(dir string) error // os.RemoveAll; a test may wait in it
	asked  chan struct{}          // has a token when something is wanted

	mu     sync.Mutex
	wanted map[deploy.AppName]content // spares to be made
	making map[deploy.AppName]*making
	ready  map[deploy.AppName]content
	gone   map[uint32]bool // numbers of removed apps
}

// content is what a tree holds.
type content struct {
	app      deploy.App
	revision deploy.OID
	lfs      pointers
}

// making is the work on a spare, which one at a time does: it is made, or it is removed.
type making struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when it is made, has failed, or is gone
}

func newMaking(ctx context.Context) *making {
	m := &making{done: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

// New returns the trees of a data directory. It starts and touches nothing.
func New(c Config) *Trees {
	return &Trees{
		config: c, remove: os.RemoveAll, asked: make(chan struct{}, 1),
		wanted: map[deploy.AppName]content{}, making: map[deploy.AppName]*making{}, ready: map[deploy.AppName]content{},
		gone: map[uint32]bool{},
	}
}

// Checkout makes job.Tree hold the job's revision and nothing else, in place of what was there. It
// returns what the pusher should know of the tree. What the revision did wrong is a [deploy.Rejection].
// Symbolic links are as the revision has them, wherever they point.
func (t *Trees) Checkout(ctx context.Context, job *deploy.Job) (notes []string, err error) {
	if err := t.clear(job.Tree); err != nil {
		return nil, err
	}
	held, ok, err := t.take(ctx, job)
	if err != nil {
		return nil, err
	}
	if ok {
		lfs, err := t.advance(ctx, job, held)
		if _, rejected := deploy.AsRejection(err); err == nil || rejected || ctx.Err() != nil {
			return lfs.notes(), err
		}
		t.config.Logger.Info("checking out a whole tree", "app", job.App.Name, "deployment", job.Number, "because", err)
		if err := t.clear(job.Tree); err != nil {
			return nil, err
		}
	}
	lfs, err := t.whole(ctx, content{app: job.App, revision: job.Revision}, job.Tree)
	return lfs.notes(), err
}

func (t *Trees) clear(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clearing the work tree: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("making the work tree: %w", err)
	}
	return nil
}

// take makes the app's spare the job's tree, if there is one. One that is being made is waited for:
// it is on its way already.
func (t *Trees) take(ctx context.Context, job *deploy.Job) (content, bool, error) {
	name := job.App.Name
	t.mu.Lock()
	delete(t.wanted, name)
	m := t.making[name]
	t.mu.Unlock()
	if m != nil {
		select {
		case <-m.done:
		case <-ctx.Done():
			return content{}, false, context.Cause(ctx)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	held, ok := t.ready[name]
	delete(t.ready, name)
	if !ok || held.app.ID != job.App.ID {
		return content{}, false, nil
	}
	if err := os.Rename(t.config.Layout.Spare(name), job.Tree); err != nil {
		t.config.Logger.Warn("the spare tree cannot be used", "app", name, "error", err)
		return content{}, false, nil
	}
	return held, true, nil
}

// advance brings a spare to the job's revision.
func (t *Trees) advance(ctx context.Context, job *deploy.Job, held content) (pointers, error) {
	written, err := t.config.Repository.Advance(ctx, job.App.Name, job.Tree, held.revision, job.Revision)
	if err != nil {
		return held.lfs, err
	}
	uid, gid := t.config.Owner(job.App.ID)
	if err := owner.GiveSome(job.Tree, written, uid, gid); err != nil {
		return held.lfs, err
	}
	return held.lfs.after(job.Tree, written)
}

// whole checks a whole revision out into dir, which is made.
func (t *Trees) whole(ctx context.Context, c content, dir string) (pointers, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return pointers{}, fmt.Errorf("making a tree: %w", err)
	}
	if err := t.config.Repository.Revision(c.app.Name, c.revision).Checkout(ctx, dir); err != nil {
		return pointers{}, err
	}
	uid, gid := t.config.Owner(c.app.ID)
	if err := owner.Give(dir, uid, gid); err != nil {
		return pointers{}, err
	}
	return findPointers(dir)
}

// Ahead has the app's next checkout begin at revision. It returns at once; [Trees.Run] does the work. Of an
// app that was removed nothing is made.
func (t *Trees) Ahead(app deploy.App, revision deploy.OID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone[app.ID] {
		return
	}
	if held, ok := t.ready[app.Name]; ok && held.revision == revision && held.app.ID == app.ID || revision.IsZero() {
		return
	}
	t.wanted[app.Name] = content{app: app, revision: revision}
	t.ask()
}

func (t *Trees) ask() {
	select {
	case t.asked <- struct{}{}:
	default:
	}
}

// Drop takes an app's spare away, also one that is being made, and returns when its disk space is free. One
// that is wanted meanwhile is made afterwards: half of it would be removed, and nobody would know.
func (t *Trees) Drop(ctx context.Context, app deploy.AppName) error {
	m, err := t.claim(ctx, app)
	if err != nil {
		return err
	}
	defer t.release(app, m)
	if err := t.remove(t.config.Layout.Spare(app)); err != nil {
		return fmt.Errorf("removing a spare tree: %w", err)
	}
	return nil
}

// Forget is [Trees.Drop] for an app that is removed: whoever still ends a deployment of it wants a spare in vain.
// Another app may get its name, but not its number.
func (t *Trees) Forget(ctx context.Context, app deploy.App) error {
	t.mu.Lock()
	t.gone[app.ID] = true
	t.mu.Unlock()
	return t.Drop(ctx, app.Name)
}

// claim waits until nobody works on the app's spare, and has it to itself then.
func (t *Trees) claim(ctx context.Context, app deploy.AppName) (*making, error) {
	for {
		t.mu.Lock()
		delete(t.wanted, app)
		before := t.making[app]
		if before == nil {
			defer t.mu.Unlock()
			delete(t.ready, app)
			m := newMaking(ctx)
			t.making[app] = m
			return m, nil
		}
		t.mu.Unlock()
		before.cancel()
		select {
		case <-before.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// release ends the work on a spare.
func (t *Trees) release(app deploy.AppName, m *making) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.releaseLocked(app, m)
	t.ask() // for what was wanted meanwhile
}

func (t *Trees) releaseLocked(app deploy.AppName, m *making) {
	delete(t.making, app)
	m.cancel()
	close(m.done)
}

// Run makes the spares that are wanted, one after the other, until ctx ends.
func (t *Trees) Run(ctx context.Context) error {
	for {
		c, m, ok := t.next(ctx)
		if !ok {
			select {
			case <-t.asked:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		t.spare(m, c)
	}
}

// next takes something wanted that nobody works on, and marks it as being made.
func (t *Trees) next(ctx context.Context) (content, *making, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, c := range t.wanted {
		if t.making[name] != nil {
			continue
		}
		delete(t.wanted, name)
		delete(t.ready, name)
		m := newMaking(ctx)
		t.making[name] = m
		return c, m, true
	}
	return content{}, nil, false
}

// spare makes one spare.
func (t *Trees) spare(m *making, c content) {
	dir := t.config.Layout.Spare(c.app.Name)
	err := t.make(m.ctx, &c, dir)
	if err != nil {
		err = errors.Join(err, t.remove(dir))
	}
	t.mu.Lock()
	unwanted := m.ctx.Err() != nil
	if err == nil && !unwanted {
		t.ready[c.app.Name] = c
	}
	t.releaseLocked(c.app.Name, m)
	t.mu.Unlock()
	_, rejected := deploy.AsRejection(err)
	if err != nil && !rejected && !unwanted && !errors.Is(err, errUnwanted) && !errors.Is(err, fs.ErrNotExist) {
		t.config.Logger.Warn("making a spare tree", "app", c.app.Name, "error", err)
	}
}

// errUnwanted says that the disk's room is for something better.
var errUnwanted = errors.New("no room for a spare tree")

func (t *Trees) make(ctx context.Context, c *content, dir string) error {
	err := t.remove(dir)
	if err == nil && !t.config.Room(ctx, c.app) {
		return errUnwanted
	}
	if err == nil {
		c.lfs, err = t.whole(ctx, *c, dir)
	}
	if err != nil {
		return err
	}
	// The release that will be made of it is synced in the push, and then finds nothing to do here.
	if err := durable.SyncFileSystem(dir); err != nil {
		return fmt.Errorf("syncing a spare tree: %w", err)
	}
	return nil
}
