package store_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/store"
	"slipway/deploy/store/pgtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// oid makes an object ID that tests can recognise.
func oid(c string) deploy.OID { return deploy.OID(strings.Repeat(c, 40)) }

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// history gives events their sequence, ID and time, a second apart, as the audit log would.
type history struct {
	t      *testing.T
	store  *store.Store
	events []deploy.Event
}

func newHistory(t *testing.T) *history {
	t.Helper()
	where, _ := pgtest.Database(t)
	s, err := store.Open(t.Context(), where, silent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &history{t: t, store: s}
}

func (h *history) stamp(e deploy.Event) deploy.Event {
	e.Sequence = uint64(len(h.events)) + 1
	e.ID = fmt.Sprintf("event-%d", e.Sequence)
	if e.At.IsZero() {
		e.At = noon.Add(time.Duration(e.Sequence) * time.Second)
	}
	if e.Actor.Type == "" {
		e.Actor = deploy.ServerActor("test")
	}
	h.events = append(h.events, e)
	return e
}

// add projects an event and returns when it happened.
func (h *history) add(e deploy.Event) time.Time {
	h.t.Helper()
	e = h.stamp(e)
	if err := h.store.Project(h.t.Context(), e); err != nil {
		h.t.Fatal(err)
	}
	return e.At
}

func userCreated(name deploy.UserName, role deploy.Role) deploy.Event {
	return deploy.Event{Type: deploy.EventUserCreated}.WithData(deploy.User{Name: name, Role: role})
}

func keyAdded(user deploy.UserName, fingerprint string) deploy.Event {
	return deploy.Event{Type: deploy.EventKeyAdded}.WithData(
		deploy.Key{User: user, Fingerprint: fingerprint, Line: "ssh-ed25519 " + fingerprint})
}

func appCreated(name deploy.AppName, id uint32) deploy.Event {
	return deploy.Event{Type: deploy.EventAppCreated, App: name}.WithData(
		deploy.App{Name: name, ID: id, GatedRef: "refs/heads/main", ObjectFormat: "sha1"})
}

func granted(app deploy.AppName, user deploy.UserName, role deploy.Role) deploy.Event {
	return deploy.Event{Type: deploy.EventGrantSet, App: app}.WithData(deploy.Grant{App: app, User: user, Role: role})
}

// of makes an event of a deployment.
func of(n deploy.Number, t deploy.EventType) deploy.Event {
	return deploy.Event{Type: t, App: "shop", Environment: deploy.Production, Ref: "refs/heads/main", Deployment: n}
}

func queued(n deploy.Number, revision deploy.OID) deploy.Event {
	e := of(n, deploy.EventDeploymentQueued)
	e.New = revision
	return e.WithData(deploy.Deployment{
		Number: n, App: "shop", Environment: deploy.Production, Ref: "refs/heads/main", Old: oid("0"), New: revision,
		Commit: deploy.Commit{Subject: "Fix cart total", Author: "Alice", AuthoredAt: noon.Add(-time.Hour)},
		Pusher: deploy.Pusher{User: "alice", Fingerprint: "SHA256:alice", IP: "192.0.2.7"},
		Status: deploy.StatusQueued, QueuedAt: noon,
	})
}

func started(n, previous deploy.Number, old deploy.OID) deploy.Event {
	e := of(n, deploy.EventDeploymentStarted)
	e.Old = old
	return e.WithData(deploy.StartedData{Previous: previous})
}

func accepted(n, from deploy.Number, old, revision deploy.OID) deploy.Event {
	e := of(n, deploy.EventAccepted)
	e.Old, e.New = old, revision
	return e.WithData(deploy.SwitchData{From: from, To: n})
}

// accept plays a deployment that goes well.
func (h *history) accept(n, from deploy.Number, old, revision deploy.OID) {
	h.t.Helper()
	h.add(queued(n, revision))
	h.add(started(n, from, old))
	h.add(of(n, deploy.EventSwitchIntended).WithData(deploy.SwitchData{From: from, To: n}))
	h.add(accepted(n, from, old, revision))
	h.add(of(n, deploy.EventRefMoved))
}

// got fails the test on an error.
func got[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestStory follows a shop: a first deployment goes live, a second one fails its tests, a third one is
// switched to and put back. After each event the store answers as history has it then.
func TestStory(t *testing.T) {
	h := newHistory(t)
	s, ctx := h.store, t.Context()
	h.add(userCreated("alice", deploy.RoleDeveloper))
	h.add(keyAdded("alice", "SHA256:alice"))
	created := h.add(appCreated("shop", 1))
	h.add(granted("shop", "alice", deploy.RoleDeveloper))

	app, role, err := s.Access(ctx, "alice", "shop")
	if err != nil || role != deploy.RoleDeveloper {
		t.Fatalf("alice has the role %q on shop, error %v", role, err)
	}
	same(t, "the app", app, deploy.App{Name: "shop", ID: 1, GatedRef: "refs/heads/main", ObjectFormat: "sha1", CreatedAt: created})

	h.add(queued(1, oid("a")))
	at := h.add(started(1, 0, oid("0")))
	want := deploy.Deployment{
		Number: 1, App: "shop", Environment: deploy.Production, Ref: "refs/heads/main", Old: oid("0"), New: oid("a"),
		Commit: deploy.Commit{Subject: "Fix cart total", Author: "Alice", AuthoredAt: noon.Add(-time.Hour)},
		Pusher: deploy.Pusher{User: "alice", Fingerprint: "SHA256:alice", IP: "192.0.2.7"},
		Status: deploy.StatusRunning, QueuedAt: noon, StartedAt: at,
	}
	same(t, "while it runs", got[deploy.Deployment](t)(s.Deployment(ctx, 1)), want)
	same(t, "what recovery would settle", got[[]deploy.Deployment](t)(s.Unfinished(ctx)), []deploy.Deployment{want})

	e := of(1, deploy.EventStageStarted)
	e.Stage = deploy.TestStage("unit")
	began := h.add(e)
	e = of(1, deploy.EventStageFinished).WithData(deploy.StageData{Log: "test.unit.log", Size: 7, SHA256: "ab"})
	e.Stage, e.Outcome = deploy.TestStage("unit"), deploy.OutcomePass
	ended := h.add(e)
	same(t, "stages", got[[]deploy.Stage](t)(s.Stages(ctx, 1)), []deploy.Stage{
		{Deployment: 1, Name: "test.unit", Outcome: deploy.OutcomePass, StartedAt: began, FinishedAt: ended},
	})

	want.SwitchedAt = h.add(of(1, deploy.EventSwitchIntended).WithData(deploy.SwitchData{To: 1}))
	want.FinishedAt = h.add(accepted(1, 0, oid("0"), oid("a")))
	want.Status = deploy.StatusAccepted
	same(t, "accepted, ref not moved", got[[]deploy.Deployment](t)(s.Unfinished(ctx)), []deploy.Deployment{want})
	shop := deploy.Target{App: "shop", Environment: deploy.Production}
	same(t, "the target", got[deploy.TargetState](t)(s.TargetState(ctx, shop)),
		deploy.TargetState{Target: shop, Serving: 1, Revision: oid("a")})

	h.add(of(1, deploy.EventRefMoved))
	want.RefMoved = true
	same(t, "accepted", got[deploy.Deployment](t)(s.Deployment(ctx, 1)), want)
	same(t, "nothing to settle", len(got[[]deploy.Deployment](t)(s.Unfinished(ctx))), 0)

	h.add(queued(2, oid("b")))
	h.add(started(2, 1, oid("a")))
	e = of(2, deploy.EventRejected).WithData(deploy.Reject(deploy.CodeTest, `test set "unit" failed (exit status 1)`))
	e.Stage = deploy.TestStage("unit")
	h.add(e)
	second := got[deploy.Deployment](t)(s.Deployment(ctx, 2))
	same(t, "why", []string{string(second.Status), string(second.Code), second.Reason, string(second.FailedStage)},
		[]string{"rejected", "test", `test set "unit" failed (exit status 1)`, "test.unit"})

	h.add(queued(3, oid("c")))
	h.add(started(3, 1, oid("a")))
	h.add(of(3, deploy.EventSwitchIntended).WithData(deploy.SwitchData{From: 1, To: 3}))
	e = of(3, deploy.EventRollbackFailed)
	e.Reason = "release 1 does not start"
	failed := h.add(e)
	e = of(3, deploy.EventTargetFrozen)
	e.Reason = "the rollback of deployment 3 failed"
	frozen := h.add(e)
	h.add(of(3, deploy.EventErrored).WithData(deploy.Reject(deploy.CodeUnavailable, "internal error")))
	same(t, "the rollback", got[store.Rollback](t)(s.Rollback(ctx, 3)),
		store.Rollback{State: store.RollbackFailed, Reason: "release 1 does not start", At: failed})
	same(t, "the target", got[deploy.TargetState](t)(s.TargetState(ctx, shop)), deploy.TargetState{
		Target: shop, Serving: 1, Revision: oid("a"), Frozen: "the rollback of deployment 3 failed", FrozenAt: frozen})
	same(t, "counts", got[store.Counts](t)(s.Counts(ctx)),
		store.Counts{Users: 1, Apps: 1, Deployments: 3, Frozen: 1, Events: uint64(len(h.events))})
}

func TestProjectTakesEachEventOnceAndInOrder(t *testing.T) {
	h := newHistory(t)
	ctx := t.Context()
	h.add(userCreated("alice", deploy.RoleAdmin))
	removed := deploy.Event{Type: deploy.EventUserRemoved}.WithData(deploy.User{Name: "alice"})
	h.add(removed)
	if err := h.store.Project(ctx, h.events[0]); err != nil {
		t.Fatalf("an event that was taken in already: %v", err)
	}
	if users := got[[]deploy.User](t)(h.store.Users(ctx)); len(users) != 0 {
		t.Errorf("an old event was applied again: %v", users)
	}
	late := h.stamp(userCreated("bob", deploy.RoleAdmin))
	late.Sequence++
	if err := h.store.Project(ctx, late); !errors.Is(err, store.ErrGap) {
		t.Errorf("a gap: got %v, want %v", err, store.ErrGap)
	}
	if n := got[uint64](t)(h.store.LastSequence(ctx)); n != 2 {
		t.Errorf("last sequence is %d, want 2", n)
	}
}

func TestProjectBatchIsAllOrNothing(t *testing.T) {
	h := newHistory(t)
	batch := []deploy.Event{h.stamp(userCreated("alice", deploy.RoleAdmin)), h.stamp(userCreated("bob", deploy.RoleAdmin))}
	gap := append(batch[:1:1], h.stamp(userCreated("carol", deploy.RoleAdmin)))
	if err := h.store.Project(t.Context(), gap...); !errors.Is(err, store.ErrGap) {
		t.Fatalf("got %v, want %v", err, store.ErrGap)
	}
	if n := got[uint64](t)(h.store.LastSequence(t.Context())); n != 0 {
		t.Errorf("half of a batch was taken in: last sequence is %d", n)
	}
	if err := h.store.Project(t.Context(), batch...); err != nil {
		t.Fatal(err)
	}
	same(t, "users", len(got[[]deploy.User](t)(h.store.Users(t.Context()))), 2)
}
