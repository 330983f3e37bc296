package store_test

import (
	"errors"
	"iter"
	"sync"
	"testing"

	"slipway/deploy"
	"slipway/deploy/store"
	"slipway/deploy/store/pgtest"
)

// TestReadWhileProjecting: readers neither wait nor fail while events come in, and see each deployment
// whole.
func TestReadWhileProjecting(t *testing.T) {
	h := company(t)
	s, ctx := h.store, t.Context()
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				page, err := s.Deployments(ctx, deploy.DeploymentFilter{App: "shop", VisibleTo: deploy.Scope{User: "alice"}})
				if err != nil {
					t.Error(err)
					return
				}
				for _, d := range page {
					if d.Status == deploy.StatusAccepted && d.FinishedAt.IsZero() {
						t.Errorf("deployment %d is half accepted", d.Number)
					}
				}
				if _, err := s.UserByKey(ctx, "SHA256:alice"); err != nil {
					t.Error(err)
				}
				if _, err := s.TargetStates(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := deploy.Number(1); n <= 40; n++ {
		h.accept(n, n-1, oid("a"), oid("b"))
		d, err := s.Deployment(ctx, n)
		if err != nil || !d.RefMoved {
			t.Errorf("deployment %d is not to be seen right after it was projected: %+v, %v", n, d, err)
		}
	}
	close(done)
	all.Wait()
}

// TestProjectFromSeveral: several that project the same events take each in once.
func TestProjectFromSeveral(t *testing.T) {
	h := newHistory(t)
	for _, e := range eventful() {
		h.stamp(e)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range h.events {
				if err := h.store.Project(t.Context(), h.events[:i+1]...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	same(t, "events", got[store.Counts](t)(h.store.Counts(t.Context())).Events, uint64(len(h.events)))
}

// TestProjectPassesOverWhatTheSchemaRefuses: one event that breaks a rule, which none should, must not
// keep the database from taking in those after it.
func TestProjectPassesOverWhatTheSchemaRefuses(t *testing.T) {
	where, postgres := pgtest.Database(t)
	h := &history{t: t, store: reopen(t, where)}
	trigger := `CREATE TRIGGER no_mallory BEFORE INSERT ON users WHEN new.name = 'mallory'
		BEGIN SELECT RAISE(ABORT, 'not mallory'); END`
	if postgres {
		trigger = `ALTER TABLE users ADD CHECK (name <> 'mallory')`
	}
	exec(t, where, trigger)
	for _, name := range []deploy.UserName{"alice", "mallory", "bob"} {
		h.stamp(userCreated(name, deploy.RoleViewer))
	}
	if err := h.store.Project(t.Context(), h.events...); err != nil {
		t.Fatal(err)
	}
	same(t, "counts", got[store.Counts](t)(h.store.Counts(t.Context())), store.Counts{Users: 2, Events: 3, Unfit: 1})
}

// TestRebuildIsUnseen: while the database is made anew everybody reads what was there before, and if
// it cannot be it stays.
func TestRebuildIsUnseen(t *testing.T) {
	h := newHistory(t)
	for _, e := range eventful() {
		h.add(e)
	}
	ctx := t.Context()
	counts := func() store.Counts { t.Helper(); return got[store.Counts](t)(h.store.Counts(ctx)) }
	before, torn := counts(), errors.New("a line cannot be read")
	from := func(cut bool) iter.Seq2[deploy.Event, error] {
		return func(yield func(deploy.Event, error) bool) {
			for i, e := range h.events {
				if i == len(h.events)/2 {
					same(t, "counts in the middle of it", counts(), before)
					if cut {
						yield(deploy.Event{}, torn)
						return
					}
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
	if err := h.store.Rebuild(ctx, from(true)); !errors.Is(err, torn) {
		t.Errorf("got the error %v, want %v", err, torn)
	}
	same(t, "counts after a failure", counts(), before)
	if err := h.store.Rebuild(ctx, from(false)); err != nil {
		t.Error(err)
	}
	same(t, "counts in the end", counts(), before)
}

// TestErrorsAfterClose: a database that is not there any more is a fault, never an empty answer.
func TestErrorsAfterClose(t *testing.T) {
	h := company(t)
	s, ctx := newHistory(t).store, t.Context()
	s.Close()
	for name, ask := range map[string]func() error{
		"Project":         func() error { return s.Project(ctx, h.events[0]) },
		"Rebuild":         func() error { return s.Rebuild(ctx, func(func(deploy.Event, error) bool) {}) },
		"LastSequence":    func() error { _, err := s.LastSequence(ctx); return err },
		"Check":           func() error { return s.Check(ctx, h.events[0], 0) },
		"Users":           func() error { _, err := s.Users(ctx); return err },
		"User":            func() error { _, err := s.User(ctx, "alice"); return err },
		"UserByKey":       func() error { _, err := s.UserByKey(ctx, "x"); return err },
		"Keys":            func() error { _, err := s.Keys(ctx, "alice"); return err },
		"Apps":            func() error { _, err := s.Apps(ctx); return err },
		"AppsVisible":     func() error { _, err := s.AppsVisible(ctx, "alice"); return err },
		"App":             func() error { _, err := s.App(ctx, "shop"); return err },
		"NextAppID":       func() error { _, err := s.NextAppID(ctx); return err },
		"Grants":          func() error { _, err := s.Grants(ctx, "shop"); return err },
		"Access":          func() error { _, _, err := s.Access(ctx, "alice", "shop"); return err },
		"Deployments":     func() error { _, err := s.Deployments(ctx, deploy.DeploymentFilter{App: "shop"}); return err },
		"Deployment":      func() error { _, err := s.Deployment(ctx, 1); return err },
		"LastNumber":      func() error { _, err := s.LastNumber(ctx); return err },
		"Unfinished":      func() error { _, err := s.Unfinished(ctx); return err },
		"Rollback":        func() error { _, err := s.Rollback(ctx, 1); return err },
		"Stages":          func() error { _, err := s.Stages(ctx, 1); return err },
		"StageData":       func() error { _, err := s.StageData(ctx, 1, "build"); return err },
		"TargetState":     func() error { _, err := s.TargetState(ctx, deploy.Target{App: "shop"}); return err },
		"TargetStates":    func() error { _, err := s.TargetStates(ctx); return err },
		"Releases":        func() error { _, err := s.Releases(ctx, "shop"); return err },
		"Events":          func() error { _, err := s.Events(ctx, deploy.EventFilter{}); return err },
		"Queue":           func() error { _, err := s.Queue(ctx, deploy.Scope{}); return err },
		"StagesOf":        func() error { _, err := s.StagesOf(ctx, 1); return err },
		"Medians":         func() error { _, err := s.Medians(ctx, "shop"); return err },
		"Search":          func() error { _, err := s.Deployments(ctx, deploy.DeploymentFilter{Text: "x"}); return err },
		"LastDeployments": func() error { _, err := s.LastDeployments(ctx, deploy.Scope{}); return err },
		"Counts":          func() error { _, err := s.Counts(ctx); return err },
	} {
		if err := ask(); err == nil || errors.Is(err, deploy.ErrNotFound) {
			t.Errorf("%s: got the error %v, want a fault", name, err)
		}
	}
}
