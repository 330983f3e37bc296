package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/store"
	"slipway/deploy/store/pgtest"
)

// mirrored is a log, the server's own database, and PostgreSQL that follows.
type mirrored struct {
	t        *testing.T
	own      string
	store    *store.Store
	recorder *audit.Recorder
	mirror   *store.Mirror
	stop     func()
}

func newMirrored(t *testing.T, url string) *mirrored {
	t.Helper()
	dir := t.TempDir()
	log, err := audit.Open(filepath.Join(dir, "audit"), audit.Config{Logger: silent()})
	if err != nil {
		t.Fatal(err)
	}
	m := &mirrored{t: t, own: filepath.Join(dir, "slipway.db"), mirror: store.NewMirror(url, silent())}
	m.store = reopen(t, m.own)
	m.store.Answers(m.mirror)
	m.recorder = audit.NewRecorder(log, unchecked{m.store}, silent())
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := m.recorder.Follow(ctx, m.mirror); err != nil {
			t.Error(err)
		}
	})
	m.stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
		m.mirror.Close()
		log.Close()
	})
	t.Cleanup(m.stop)
	return m
}

func (m *mirrored) record(events ...deploy.Event) {
	m.t.Helper()
	for _, e := range events {
		if e.Actor.Type == "" {
			e.Actor = deploy.ServerActor("test")
		}
		if _, err := m.recorder.Record(m.t.Context(), e); err != nil {
			m.t.Fatal(err)
		}
	}
	m.recorder.Wait()
}

// await waits until PostgreSQL is where the log is.
func (m *mirrored) await(url string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	db, _ := connect(m.t, url)
	for {
		var sequence uint64
		err := db.QueryRowContext(ctx, "SELECT sequence FROM projection").Scan(&sequence)
		if err == nil && sequence == m.recorder.Head().Sequence {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			m.t.Fatalf("PostgreSQL is at event %d, error %v; the log is at %d", sequence, err, m.recorder.Head().Sequence)
		}
	}
}

func (m *mirrored) look(url string) {
	m.t.Helper()
	m.await(url)
	if diff := cmp.Diff(dump(m.t, m.own), dump(m.t, url)); diff != "" {
		m.t.Errorf("the databases differ (-own +PostgreSQL):\n%s", diff)
	}
	page := deploy.DeploymentFilter{App: "shop", Text: "cart"}
	same(m.t, "deployments", len(got[[]deploy.Deployment](m.t)(m.store.Deployments(m.t.Context(), page))) > 0, true)
}

// TestMirror: PostgreSQL goes away and comes back, when nothing happens and while events are recorded, is
// emptied, and always comes to hold what the server's own database holds. Nobody notices meanwhile.
func TestMirror(t *testing.T) {
	if _, postgres := pgtest.Database(t); !postgres {
		return // the second run has this one
	}
	cluster, err := pgtest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Stop()
	url, err := cluster.Schema()
	if err != nil {
		t.Fatal(err)
	}
	halt := func(f func() error) {
		t.Helper()
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	halt(cluster.Halt) // it is away when the server starts
	m := newMirrored(t, url)
	m.record(eventful()[:20]...)
	answered := func() {
		t.Helper()
		page := got[[]deploy.Event](t)(m.store.Events(t.Context(), deploy.EventFilter{Limit: 1}))
		same(t, "the newest event", page[0].Sequence, m.recorder.Head().Sequence)
	}
	answered()
	halt(cluster.Run)
	m.look(url)
	answered()
	m.record(userCreated("dora", deploy.RoleViewer))
	m.look(url)
	halt(cluster.Halt) // while it is used
	answered()
	m.record(userCreated("emil", deploy.RoleViewer), userCreated("fred", deploy.RoleViewer))
	answered()
	halt(cluster.Run)
	m.look(url)
	if err := m.recorder.Rebuild(t.Context(), m.store.Rebuild); err != nil {
		t.Fatal(err)
	}
	m.record(userCreated("gerd", deploy.RoleViewer))
	m.look(url)
	answered()
}

// TestMirrorOfAnother: a database belongs to one log. Neither another server at the same time nor another
// log later mixes with it.
func TestMirrorOfAnother(t *testing.T) {
	url, postgres := pgtest.Database(t)
	if !postgres {
		return // the second run has this one
	}
	first := newMirrored(t, url)
	first.record(userCreated("alice", deploy.RoleAdmin), userCreated("bob", deploy.RoleAdmin))
	first.await(url)
	if s, err := store.Open(t.Context(), url, silent()); !errors.Is(err, store.ErrInUse) {
		s.Close()
		t.Errorf("opened at the same time: %v, want %v", err, store.ErrInUse)
	}
	first.stop()
	before := dump(t, url)
	second := newMirrored(t, url)
	second.record(userCreated("mallory", deploy.RoleAdmin), userCreated("trudy", deploy.RoleAdmin), userCreated("eve", deploy.RoleAdmin))
	second.stop()
	other := store.NewMirror(url, silent())
	defer other.Close()
	dir := t.TempDir()
	log, err := audit.Open(dir, audit.Config{Logger: silent()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for range 3 {
		if _, err := log.Append(t.Context(), deploy.Event{Type: deploy.EventServerStarted, Actor: deploy.ServerActor("test")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := audit.NewRecorder(log, other, silent()).CatchUp(t.Context()); !errors.Is(err, audit.ErrDiverged) {
		t.Errorf("another log: %v, want %v", err, audit.ErrDiverged)
	}
	if diff := cmp.Diff(before, dump(t, url)); diff != "" {
		t.Errorf("another log changed it (-before +after):\n%s", diff)
	}
}

// TestMirrorAnswers: what it answers is its own, while it is in step, and never when it is behind.
func TestMirrorAnswers(t *testing.T) {
	url, postgres := pgtest.Database(t)
	if !postgres {
		return // the second run has this one
	}
	m := newMirrored(t, url)
	m.record(userCreated("alice", deploy.RoleAdmin))
	m.await(url)
	m.stop()
	again := store.NewMirror(url, silent())
	defer again.Close()
	s := reopen(t, m.own)
	s.Answers(again)
	if _, _, err := s.Position(t.Context()); err != nil {
		t.Fatal(err)
	}
	actor := func() string {
		t.Helper()
		return got[[]deploy.Event](t)(s.Events(t.Context(), deploy.EventFilter{}))[0].Reason
	}
	exec(t, url, "UPDATE events SET reason = 'from PostgreSQL'")
	same(t, "before anybody looked", actor(), "")
	if _, _, err := again.Position(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := again.Project(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "in step", actor(), "from PostgreSQL")
	e := userCreated("bob", deploy.RoleAdmin)
	e.Sequence, e.ID, e.Actor = 2, "two", deploy.ServerActor("test")
	if err := s.Project(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	same(t, "behind", len(got[[]deploy.Event](t)(s.Events(t.Context(), deploy.EventFilter{}))), 2)
	if err := again.Project(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	same(t, "in step again", got[[]deploy.Event](t)(s.Events(t.Context(), deploy.EventFilter{Before: 2}))[0].Reason, "from PostgreSQL")
	exec(t, url, "ALTER TABLE events RENAME TO elsewhere")
	same(t, "when it fails", actor(), "")
}
