package repo

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
)

const app deploy.AppName = "shop"

// newUpdated makes a store with the repository shop and returns a commit in it.
func newUpdated(t *testing.T, s *Store, format ObjectFormat) deploy.OID {
	t.Helper()
	if err := s.Create(t.Context(), app, Options{ObjectFormat: format}); err != nil {
		t.Fatal(err)
	}
	tree := s.in(t.Context(), app, "mktree")
	tree.Stdin = strings.NewReader("")
	empty, err := output(tree)
	if err != nil {
		t.Fatal(err)
	}
	commit := s.in(t.Context(), app, "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit-tree", "-m", "first", strings.TrimSpace(string(empty)))
	out, err := output(commit)
	if err != nil {
		t.Fatal(err)
	}
	return deploy.OID(strings.TrimSpace(string(out)))
}

func newUpdatedStore(t *testing.T) *Store {
	t.Helper()
	s := New(Config{Layout: deploy.Layout(t.TempDir())})
	t.Cleanup(func() { s.updaters.drop(app) })
	return s
}

func (s *Store) idlePID() int {
	s.updaters.mu.Lock()
	defer s.updaters.mu.Unlock()
	if u := s.updaters.idle[app]; u != nil {
		return u.cmd.Process.Pid
	}
	return 0
}

// move moves a branch that is not there yet.
func move(t *testing.T, s *Store, branch deploy.RefName, oid deploy.OID) {
	t.Helper()
	tx, err := s.Prepare(t.Context(), app, deploy.RefUpdate{Ref: branch, New: oid})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if is, err := s.Resolve(t.Context(), app, branch); is != oid || err != nil {
		t.Errorf("%s is %q, %v; want %s", branch, is, err, oid)
	}
}

func TestUpdaterIsUsedAgain(t *testing.T) {
	s := newUpdatedStore(t)
	oid := newUpdated(t, s, SHA1)
	if err := s.Keep(t.Context(), app, 7, oid); err != nil {
		t.Fatal(err)
	}
	first := s.idlePID()
	move(t, s, "refs/heads/main", oid)
	if now := s.idlePID(); first == 0 || now != first {
		t.Errorf("process %d kept the revision and process %d moved the ref", first, now)
	}
	if kept, err := s.Resolve(t.Context(), app, deploy.DeploymentRef(7)); kept != oid || err != nil {
		t.Errorf("deployment 7 has %q, %v", kept, err)
	}
}

func TestUpdaterThatWasKilled(t *testing.T) {
	s := newUpdatedStore(t)
	oid := newUpdated(t, s, SHA1)
	move(t, s, "refs/heads/main", oid)
	if err := syscall.Kill(s.idlePID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	move(t, s, "refs/heads/other", oid)
}

// A repository that was made anew is another one, of another kind perhaps.
func TestUpdaterOfRepositoryMadeAnew(t *testing.T) {
	s := newUpdatedStore(t)
	move(t, s, "refs/heads/main", newUpdated(t, s, SHA1))
	if err := s.Remove(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	move(t, s, "refs/heads/main", newUpdated(t, s, SHA256))
}

func TestUpdaterIsNotKeptAfterAnAbort(t *testing.T) {
	s := newUpdatedStore(t)
	oid := newUpdated(t, s, SHA1)
	tx, err := s.Prepare(t.Context(), app, deploy.RefUpdate{Ref: "refs/heads/main", New: oid})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Abort(); err != nil || s.idlePID() != 0 {
		t.Errorf("%v, and process %d stays", err, s.idlePID())
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := s.Keep(ended, app, 7, oid); err == nil || s.idlePID() != 0 {
		t.Errorf("keeping a revision for nobody: %v, and process %d stays", err, s.idlePID())
	}
	move(t, s, "refs/heads/main", oid)
}

// A pusher who leaves while a ref is being locked must not leave the lock behind.
func TestAbandonedUpdaterTakesItsLocksAlong(t *testing.T) {
	s := newUpdatedStore(t)
	oid := newUpdated(t, s, SHA1)
	for i := range 120 {
		if err := s.Keep(t.Context(), app, 1000, oid); err != nil { // so that git has started
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i)*20*time.Microsecond, leave)
		if i%2 == 0 {
			_ = s.Keep(ctx, app, deploy.Number(i+1), oid)
		} else if tx, err := s.Prepare(ctx, app, deploy.RefUpdate{Ref: "refs/heads/main", New: oid}); err == nil {
			_ = tx.Abort()
		}
		leave()
	}

	err := filepath.WalkDir(s.Dir(app), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".lock") {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	move(t, s, "refs/heads/main", oid)
}
