package control_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/control"
	"slipway/deploy/store"
	"slipway/deploy/variables"
)

// world is a control over the real records: store, audit log and variables. What deploys is made up.
type world struct {
	testing.TB
	layout   deploy.Layout
	store    *store.Store
	recorder *audit.Recorder
	control  *control.Control
	rest     *rest
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, layout: deploy.Layout(t.TempDir()), rest: &rest{}}
	logger := slog.New(slog.DiscardHandler)
	log, err := audit.Open(w.layout.Audit(), audit.Config{Logger: logger})
	w.must(err)
	t.Cleanup(func() { log.Close() })
	w.store, err = store.Open(t.Context(), w.layout.Database(), logger)
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.recorder = audit.NewRecorder(log, w.store, logger)
	w.rest.head = w.recorder.Head
	w.control = control.New(control.Config{
		Layout: w.layout, Records: w.store, Recorder: w.recorder, Pipeline: w.rest, Engine: w.rest, Variables: variables.New(w.layout),
		Places: w.rest, Refs: w.rest, Sources: w.rest, Trail: w.rest, Mask: func(values map[string]string, text string) string {
			for _, v := range values {
				text = strings.ReplaceAll(text, v, "***")
			}
			return text
		}, Logger: logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.control.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// rest is all that the control does not keep itself: it says yes.
type rest struct {
	head     func() audit.Head
	wrong    error // why nothing can be put right
	canceled []deploy.Number
}

func (r *rest) Again(_ context.Context, a deploy.AgainRequest, _ io.Writer) deploy.Answer {
	if a.Queued != nil {
		a.Queued(9)
	}
	return deploy.Answer{Number: 9, Accepted: true}
}

func (r *rest) Cancel(n deploy.Number, _ deploy.Actor, _ string) error {
	r.canceled = append(r.canceled, n)
	return nil
}

func (r *rest) Hold(ctx context.Context, _ deploy.Target, do func(context.Context) error) error {
	return do(ctx)
}
func (r *rest) PutRight(context.Context, deploy.App) error { return r.wrong }
func (r *rest) Queue() []deploy.Waiting {
	return []deploy.Waiting{{Number: 3, Target: deploy.Target{App: "shop"}, User: "dora"}, {Number: 4, Target: deploy.Target{App: "blog"}, User: "dora"}}
}
func (r *rest) Running(deploy.Number) bool                                    { return false }
func (r *rest) Serving(context.Context, deploy.Target) (deploy.Number, error) { return 1, nil }
func (r *rest) Instances(context.Context, deploy.Target, deploy.Number) ([]deploy.Instance, error) {
	return nil, nil
}

func (r *rest) Inspect(context.Context, deploy.Instance) (deploy.InstanceState, error) {
	return deploy.InstanceState{}, errors.New("there is none")
}
func (r *rest) Restart(context.Context, deploy.Target) error { return nil }
func (r *rest) OneOff(context.Context, deploy.Target, deploy.Number, []string, control.Stdio) (control.OneOffResult, error) {
	return control.OneOffResult{}, nil
}
func (r *rest) Clear(context.Context, deploy.AppName) error { return nil }
func (r *rest) Make(context.Context, deploy.App) error      { return nil }
func (r *rest) Remove(context.Context, deploy.App) error    { return nil }
func (r *rest) CheckRef(deploy.RefName) error               { return nil }
func (r *rest) Resolve(context.Context, deploy.AppName, deploy.RefName) (deploy.OID, error) {
	return revision, nil
}

func (r *rest) Commits(context.Context, deploy.AppName, deploy.OID, deploy.OID, int) (deploy.History, error) {
	return deploy.History{}, nil
}

func (r *rest) Diff(context.Context, deploy.AppName, deploy.OID, deploy.OID, deploy.DiffLimits) (deploy.Diff, error) {
	return deploy.Diff{}, nil
}

func (r *rest) State() deploy.ChainState {
	return deploy.ChainState{Sequence: r.head().Sequence, Hash: r.head().Hash}
}

func (r *rest) Verify(context.Context) (deploy.ChainReport, deploy.Event, error) {
	return deploy.ChainReport{}, deploy.Event{Type: deploy.EventAuditVerified}, nil
}

const revision = deploy.OID("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

// operator may do everything.
func operator() deploy.Caller {
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorOperator, Name: "operator", Origin: "socket"}, Admin: true}
}

// person is a user who has come by key.
func (w *world) person(name deploy.UserName, role deploy.Role, grants ...deploy.Grant) deploy.Caller {
	w.Helper()
	_, err := w.control.AddUser(w.Context(), operator(), name, role, nil)
	w.must(err)
	for _, g := range grants {
		g.User = name
		w.must(w.control.Grant(w.Context(), operator(), g))
	}
	key := deploy.Pusher{User: name, Fingerprint: "SHA256:" + string(name), IP: "192.0.2.1"}
	return deploy.Caller{Actor: key.Actor(), User: name, Admin: role == deploy.RoleAdmin, Key: key}
}

// with is the caller who comes with a token of who.
func (w *world) with(who deploy.Caller, limit deploy.Limit) deploy.Caller {
	w.Helper()
	_, secret, err := w.control.CreateToken(w.Context(), who, deploy.NewToken{Name: "a token", Limit: limit, Expires: time.Hour})
	w.must(err)
	caller, _, err := w.control.CallerByToken(w.Context(), secret, "192.0.2.2", "api")
	w.must(err)
	return caller
}

// apps makes shop and blog, with an accepted deployment each: 1 and 2. That of shop was deployed by dora.
func (w *world) apps() {
	w.Helper()
	for n, app := range map[deploy.Number]deploy.AppName{1: "shop", 2: "blog"} {
		_, err := w.control.CreateApp(w.Context(), operator(), deploy.NewApp{Name: app})
		w.must(err)
		for _, e := range []deploy.Event{
			deploy.Event{Type: deploy.EventDeploymentQueued}.WithData(deploy.Deployment{
				Number: n, App: app, Environment: deploy.Production, Ref: "refs/heads/main", New: revision, QueuedAt: time.Now().Add(time.Second),
				Commit: deploy.Commit{Subject: "the words of " + string(app)}, Pusher: deploy.Pusher{User: "dora"},
			}),
			deploy.Event{Type: deploy.EventDeploymentStarted}.WithData(deploy.StartedData{}),
			{Type: deploy.EventStageStarted, Stage: deploy.StageBuild},
			{Type: deploy.EventStageFinished, Stage: deploy.StageBuild, Outcome: deploy.OutcomePass},
			deploy.Event{Type: deploy.EventAccepted, New: revision}.WithData(deploy.SwitchData{To: n}),
			{Type: deploy.EventRefMoved, New: revision},
		} {
			e.App, e.Environment, e.Deployment, e.Actor = app, deploy.Production, n, deploy.ServerActor("test")
			_, err := w.recorder.Record(w.Context(), e)
			w.must(err)
		}
		w.must(os.MkdirAll(w.layout.Deployment(n), 0o700))
		w.must(os.WriteFile(filepath.Join(w.layout.Deployment(n), "build.log"), []byte("built\n"), 0o600))
	}
	w.must(os.MkdirAll(w.layout.App("shop"), 0o700))
}

// since lists the events that were recorded after a sequence.
func (w *world) since(sequence uint64) []deploy.Event {
	w.Helper()
	all, err := w.store.Events(w.Context(), deploy.EventFilter{After: sequence, Limit: 1000})
	w.must(err)
	return all
}
