package api_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/api"
	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/control"
	"slipway/deploy/store"
	"slipway/deploy/variables"
	"slipway/gitserver/repo"
)

// world is a server with the real store, audit log, variables and repositories. What deploys is made up.
type world struct {
	testing.TB
	layout   deploy.Layout
	store    *store.Store
	recorder *audit.Recorder
	repos    *repo.Store
	control  *control.Control
	pipeline *madeUp
	server   *httptest.Server
	stopping chan struct{}
	stop     func() // the control
	halt     func() // everything
}

func newWorld(t testing.TB) *world { return worldIn(t, deploy.Layout(t.TempDir())) }

// worldIn is a server of what is in a data directory.
func worldIn(t testing.TB, l deploy.Layout) *world {
	t.Helper()
	w := &world{TB: t, layout: l, pipeline: &madeUp{running: map[deploy.Number]bool{}}, stopping: make(chan struct{})}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	log, err := audit.Open(w.layout.Audit(), audit.Config{Logger: logger})
	w.must(err)
	t.Cleanup(func() { log.Close() })
	w.store, err = store.Open(t.Context(), w.layout.Database(), logger)
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.recorder = audit.NewRecorder(log, w.store, logger)
	w.must(w.recorder.CatchUp(t.Context()))
	w.repos = repo.New(repo.Config{Layout: w.layout, Logger: logger})
	w.control = control.New(control.Config{
		Layout: w.layout, Records: w.store, Recorder: w.recorder, Pipeline: w.pipeline, Engine: w.pipeline, Variables: variables.New(w.layout),
		Places: w, Refs: w.repos, Sources: w.repos, Trail: w, Mask: func(_ map[string]string, s string) string { return s }, Logger: logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.control.Run(ctx) })
	w.stop = func() { cancel(); running.Wait() }
	t.Cleanup(w.stop)
	handler, err := api.New(api.Config{Control: w.control, Stopping: w.stopping, Logger: logger})
	w.must(err)
	w.server = httptest.NewServer(handler)
	t.Cleanup(w.server.Close)
	w.halt = func() {
		w.server.Close()
		w.stop()
		w.must(errors.Join(w.store.Close(), log.Close()))
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Make implements control.Places.
func (w *world) Make(ctx context.Context, app deploy.App) error {
	if err := os.MkdirAll(w.layout.App(app.Name), 0o700); err != nil {
		return err
	}
	return w.repos.Create(ctx, app.Name, repo.Options{ObjectFormat: repo.ObjectFormat(app.ObjectFormat), GatedRef: app.GatedRef})
}

func (w *world) Clear(context.Context, deploy.AppName) error { return nil }
func (w *world) CheckRef(ref deploy.RefName) error           { return repo.CheckRefName(ref) }
func (w *world) Remove(ctx context.Context, app deploy.App) error {
	return errors.Join(w.repos.Remove(ctx, app.Name), os.RemoveAll(w.layout.App(app.Name)))
}

// State implements control.Trail.
func (w *world) State() deploy.ChainState {
	head := w.recorder.Head()
	return deploy.ChainState{Sequence: head.Sequence, Hash: head.Hash}
}

func (w *world) Verify(ctx context.Context) (deploy.ChainReport, deploy.Event, error) {
	r, err := audit.Verify(ctx, w.layout.Audit(), w.recorder.Head())
	return deploy.ChainReport{Files: r.Files, Events: r.Events, Head: w.State()}, deploy.Event{Type: deploy.EventAuditVerified}, err
}

// madeUp is a pipeline and an engine that do nothing but say what was asked.
type madeUp struct {
	mu       sync.Mutex
	running  map[deploy.Number]bool
	canceled []deploy.Number
	again    []deploy.AgainRequest
	waiting  []deploy.Waiting
}

func (m *madeUp) Again(_ context.Context, r deploy.AgainRequest, _ io.Writer) deploy.Answer {
	m.mu.Lock()
	m.again = append(m.again, r)
	m.mu.Unlock()
	if r.Again.Of > 90 {
		return deploy.Answer{Line: "no", Refused: deploy.Reject(deploy.CodeNotFound, "there is no deployment %d", r.Again.Of)}
	}
	r.Queued(77)
	return deploy.Answer{Number: 77, Accepted: true}
}

func (m *madeUp) PutRight(context.Context, deploy.App) error { return nil }

func (m *madeUp) Cancel(n deploy.Number, _ deploy.Actor, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running[n] {
		return deploy.Reject(deploy.CodeNotFound, "deployment %d is not running", n)
	}
	m.canceled = append(m.canceled, n)
	return nil
}

func (m *madeUp) Hold(ctx context.Context, _ deploy.Target, do func(context.Context) error) error {
	return do(ctx)
}
func (m *madeUp) Queue() []deploy.Waiting { return m.waiting }
func (m *madeUp) Running(n deploy.Number) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[n]
}

func (m *madeUp) run(n deploy.Number, yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[n] = yes
}
func (m *madeUp) Serving(context.Context, deploy.Target) (deploy.Number, error) { return 1, nil }
func (m *madeUp) Instances(_ context.Context, t deploy.Target, n deploy.Number) ([]deploy.Instance, error) {
	return []deploy.Instance{{App: t.App, Release: n, Process: "web", Index: 1, Addr: "127.0.0.1:1"}}, nil
}

func (m *madeUp) Inspect(context.Context, deploy.Instance) (deploy.InstanceState, error) {
	return deploy.InstanceState{Running: true, StartedAt: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Memory: 1 << 20, CPU: time.Second}, nil
}
func (m *madeUp) Restart(context.Context, deploy.Target) error { return nil }
func (m *madeUp) OneOff(context.Context, deploy.Target, deploy.Number, []string, control.Stdio) (control.OneOffResult, error) {
	return control.OneOffResult{}, errors.New("not here")
}

// operator may do everything.
func operator() deploy.Caller {
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorOperator, Name: "operator", Origin: "socket"}, Admin: true}
}

func (w *world) record(e deploy.Event) {
	w.Helper()
	if e.Actor.Type == "" {
		e.Actor = deploy.ServerActor("test")
	}
	_, err := w.recorder.Record(w.Context(), e)
	w.must(err)
}

// user makes a user and returns its name as a caller.
func (w *world) user(name deploy.UserName, role deploy.Role) deploy.Caller {
	w.Helper()
	_, err := w.control.AddUser(w.Context(), operator(), name, role, nil)
	w.must(err)
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorUser, Name: string(name)}, User: name, Admin: role == deploy.RoleAdmin}
}

func (w *world) token(who deploy.Caller, role deploy.Role, app deploy.AppName) string {
	w.Helper()
	_, secret, err := w.control.CreateToken(w.Context(), who, deploy.NewToken{Name: "test", Limit: deploy.Limit{Role: role, App: app}, Expires: time.Hour})
	w.must(err)
	return secret
}

func (w *world) app(name deploy.AppName) {
	w.Helper()
	_, err := w.control.CreateApp(w.Context(), operator(), deploy.NewApp{Name: name})
	w.must(err)
}

// deployed makes an accepted deployment with a stage and its log.
func (w *world) deployed(n deploy.Number, app deploy.AppName, user deploy.UserName, subject string) {
	w.Helper()
	w.queued(n, app, user, subject)
	of := func(e deploy.Event) {
		w.Helper()
		e.App, e.Environment, e.Deployment = app, deploy.Production, n
		w.record(e)
	}
	of(deploy.Event{Type: deploy.EventDeploymentStarted}.WithData(deploy.StartedData{}))
	of(deploy.Event{Type: deploy.EventStageStarted, Stage: deploy.StageBuild})
	w.write(n, "build.log", "one\ntwo\nthree\n")
	w.write(n, "transcript.log", "what the pusher read\n")
	w.write(n, "monitor.jsonl", "{}\n")
	of(deploy.Event{Type: deploy.EventStageFinished, Stage: deploy.StageBuild, Outcome: deploy.OutcomePass}.
		WithData(deploy.StageData{Log: "build.log", Size: 14, Checks: []deploy.Check{{Name: "probe", Outcome: deploy.OutcomePass, Detail: "fine"}}}))
	of(deploy.Event{Type: deploy.EventAccepted}.WithData(deploy.SwitchData{To: n}))
	of(deploy.Event{Type: deploy.EventRefMoved})
}

func (w *world) queued(n deploy.Number, app deploy.AppName, user deploy.UserName, subject string) {
	w.Helper()
	w.record(deploy.Event{Type: deploy.EventDeploymentQueued, App: app, Deployment: n}.WithData(deploy.Deployment{
		Number: n, App: app, Environment: deploy.Production, Ref: "refs/heads/main", New: deploy.OID(strings.Repeat("a", 40)),
		Commit: deploy.Commit{Subject: subject, Author: "Alice"}, Pusher: deploy.Pusher{User: user, Fingerprint: "SHA256:x", IP: "192.0.2.1"},
	}))
}

func (w *world) write(n deploy.Number, name, text string) {
	w.Helper()
	w.must(os.MkdirAll(w.layout.Deployment(n), 0o700))
	w.must(os.WriteFile(filepath.Join(w.layout.Deployment(n), name), []byte(text), 0o600))
}

// ask sends a request and returns the answer with its body.
func (w *world) ask(token, method, path, body string, headers ...string) (*http.Response, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, strings.NewReader(body))
	w.must(err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	w.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	w.must(err)
	w.fits(r, res, b)
	return res, string(b)
}

// want asks and checks the status.
func (w *world) want(status int, token, method, path, body string, headers ...string) string {
	w.Helper()
	res, got := w.ask(token, method, path, body, headers...)
	if res.StatusCode != status {
		w.Fatalf("%s %s: %s, want %d\n%s", method, path, res.Status, status, got)
	}
	return got
}
