package store_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/store"
	"slipway/deploy/store/pgtest"
)

// eventful is a history in which every kind of event happens, some of them where they fit nothing.
func eventful() []deploy.Event {
	stage := of(1, deploy.EventStageStarted)
	stage.Stage = deploy.StageBuild
	finished := of(1, deploy.EventStageFinished).WithData(deploy.StageData{
		Log: "build.log", Checks: []deploy.Check{{Name: "probe", Outcome: deploy.OutcomePass, Detail: "200 in 3 ms"}}})
	finished.Stage, finished.Outcome = deploy.StageBuild, deploy.OutcomePass
	rejected := of(2, deploy.EventRejected).WithData(deploy.Reject(deploy.CodeTest, "no"))
	rejected.Stage = "test.unit"
	running := stage
	running.Deployment, running.Stage = 2, "test.unit"
	lost := stage
	lost.Deployment = 99
	frozen, rolledBack := of(0, deploy.EventTargetFrozen), of(3, deploy.EventRollbackIntended)
	frozen.Reason, rolledBack.Reason = "holidays", "too many errors"
	switched := deploy.SwitchData{From: 1, To: 3}
	return []deploy.Event{
		deploy.Event{Type: deploy.EventServerStarted}.WithData(deploy.ServerData{Version: "1", PID: 7}),
		userCreated("alice", deploy.RoleDeveloper), userCreated("bob", deploy.RoleAdmin), userCreated("carol", deploy.RoleViewer),
		keyAdded("alice", "SHA256:alice"), keyAdded("alice", "SHA256:old"), keyAdded("bob", "SHA256:bob"),
		deploy.Event{Type: deploy.EventKeyRemoved}.WithData(deploy.Key{User: "alice", Fingerprint: "SHA256:old"}),
		keyAdded("nobody", "SHA256:nobody"),
		appCreated("shop", 1), appCreated("blog", 2),
		granted("shop", "alice", deploy.RoleDeveloper), granted("shop", "carol", deploy.RoleViewer),
		granted("blog", "carol", deploy.RoleViewer), granted("shop", "carol", ""), granted("none", "alice", deploy.RoleViewer),
		{Type: deploy.EventSignInFailed, Actor: deploy.Actor{Type: deploy.ActorUser, Key: "SHA256:x", IP: "192.0.2.1"}},
		queued(1, oid("a")), started(1, 0, oid("0")), stage, finished,
		of(1, deploy.EventSwitchIntended), of(1, deploy.EventSwitchDone), accepted(1, 0, oid("0"), oid("a")), of(1, deploy.EventRefMoved),
		queued(2, oid("b")), started(2, 1, oid("a")), running, rejected, lost,
		queued(3, oid("c")), started(3, 1, oid("a")), of(3, deploy.EventSwitchIntended).WithData(switched),
		rolledBack, of(3, deploy.EventRollbackDone), of(3, deploy.EventRejected).WithData(deploy.Reject(deploy.CodeMonitor, "500s")),
		queued(4, oid("d")), of(4, deploy.EventCanceled), queued(5, oid("e")), of(5, deploy.EventInterrupted),
		queued(6, oid("f")), of(6, deploy.EventErrored), frozen, of(0, deploy.EventTargetUnfrozen),
		queued(7, oid("1")), started(7, 1, oid("a")), accepted(7, 1, oid("a"), oid("1")),
		of(7, deploy.EventRegressionMarked).WithData(deploy.Regression{Reason: "no tax"}),
		of(7, deploy.EventRegressionMarked).WithData(deploy.Regression{Reason: "no tax in total", MarkedAt: noon}),
		of(1, deploy.EventReleasePruned), of(7, deploy.EventHookRan), of(0, deploy.EventDrift),
		{Type: deploy.EventAppRemoved, App: "blog"}, appCreated("blog", 3),
		deploy.Event{Type: deploy.EventUserRemoved}.WithData(deploy.User{Name: "carol"}),
		{Type: "of.tomorrow", App: "shop"},
	}
}

// TestRebuild records a history, and makes the database anew from the log alone.
func TestRebuild(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	log, err := audit.Open(filepath.Join(dir, "audit"), audit.Config{Logger: silent()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	paths := make([]string, 2)
	stores := make([]*store.Store, len(paths))
	for i := range paths {
		path, _ := pgtest.Database(t)
		paths[i] = path
		if stores[i], err = store.Open(ctx, path, silent()); err != nil {
			t.Fatal(err)
		}
		defer stores[i].Close()
	}
	live := audit.NewRecorder(log, unchecked{stores[0]}, silent())
	for _, e := range eventful() {
		if e.Actor.Type == "" {
			e.Actor = deploy.ServerActor("test")
		}
		if _, err := live.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := audit.NewRecorder(log, stores[1], silent()).CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	want := dump(t, paths[0])
	if diff := cmp.Diff(want, dump(t, paths[1])); diff != "" {
		t.Errorf("a new database (-live +rebuilt):\n%s", diff)
	}
	if err := live.Rebuild(ctx, stores[0].Rebuild); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, dump(t, paths[0])); diff != "" {
		t.Errorf("the same database made anew (-live +rebuilt):\n%s", diff)
	}
	if c := got[store.Counts](t)(stores[1].Counts(ctx)); c.Unfit != 3 {
		t.Errorf("%d events were found unfit, want 3 (a key, a grant and a stage of nobody)", c.Unfit)
	}
}

// TestStartAfterACrash: a kill may come when an event is in the log and not in the database, and the
// database may be lost; the next start answers as if nothing had happened.
func TestStartAfterACrash(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	log, err := audit.Open(filepath.Join(dir, "audit"), audit.Config{Logger: silent()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	path, postgres := pgtest.Database(t)
	whole, _ := pgtest.Database(t)
	for i, e := range eventful() {
		if e.Actor.Type == "" {
			e.Actor = deploy.ServerActor("test")
		}
		if _, err := log.Append(ctx, e); err != nil { // the kill comes here
			t.Fatal(err)
		}
		if i%15 == 10 && !postgres {
			if err := os.WriteFile(path, []byte(strings.Repeat("noise", i)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if i%5 == 0 {
			start(t, path, log)
		}
	}
	start(t, path, log)
	start(t, whole, log)
	if diff := cmp.Diff(dump(t, whole), dump(t, path)); diff != "" {
		t.Errorf("after the crashes (-want +got):\n%s", diff)
	}
}

// start opens the database, brings it up to date, and closes it.
func start(t *testing.T, path string, log *audit.Log) {
	t.Helper()
	s, err := store.Open(t.Context(), path, silent())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := audit.NewRecorder(log, s, silent()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// unchecked lets also those events be recorded that the store would refuse.
type unchecked struct{ *store.Store }

func (unchecked) Check(context.Context, deploy.Event, uint64) error { return nil }
