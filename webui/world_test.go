package webui

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
)

// world is a server behind the pages: one deployment of one app, whose logs are files that a test writes.
type world struct {
	Control // what is not faked panics
	dir     string
	site    *Site // that serves it

	mu         sync.Mutex
	deployment deploy.Deployment
	stages     []deploy.StageRecord
	events     []deploy.Event
	running    bool
	role       deploy.Role
	commits    deploy.History
	diff       deploy.Diff
	gone       *deploy.Rejection // why there is no source
	asked      map[string]int    // how often, by method
	done       []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	d := cannedRows()[0].Deployment
	d.Old, d.Previous, d.Ref, d.StartedAt = oid("1b2c3d4e5f"), 41, "refs/heads/main", d.QueuedAt
	return &world{dir: t.TempDir(), deployment: d, running: true, role: deploy.RoleDeveloper, asked: map[string]int{}}
}

// change changes the world while it is looked at.
func (w *world) change(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

func (w *world) count(method string) func() {
	w.mu.Lock()
	w.asked[method]++
	return w.mu.Unlock
}

// begin begins a stage, or ends it with an outcome.
func (w *world) begin(name deploy.StageName) {
	w.change(func() {
		w.stages = append(w.stages, deploy.StageRecord{Stage: deploy.Stage{Deployment: 43, Name: name, StartedAt: w.deployment.QueuedAt.Add(time.Second)}})
	})
}

func (w *world) end(name deploy.StageName, o deploy.Outcome) {
	w.change(func() {
		for i := range w.stages {
			if w.stages[i].Name == name {
				w.stages[i].Outcome, w.stages[i].FinishedAt = o, w.stages[i].StartedAt.Add(5*time.Second)
			}
		}
	})
}

// reject ends the deployment.
func (w *world) reject(r *deploy.Rejection, stage deploy.StageName) {
	w.change(func() {
		d := &w.deployment
		d.Status, d.Code, d.Reason, d.FailedStage, d.FinishedAt = deploy.StatusRejected, r.Code, r.Message, stage, d.QueuedAt.Add(8400*time.Millisecond)
		end := deploy.Event{Sequence: 9, Type: deploy.EventRejected, At: d.FinishedAt, Actor: deploy.ServerActor("pipeline"), App: d.App, Deployment: d.Number, Reason: r.Message}
		w.events = slices.Insert(w.events, 0, end.WithData(r))
		w.running = false
	})
}

func (w *world) write(t testing.TB, log, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(w.dir, log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

func (w *world) missing(n deploy.Number) error {
	if n != w.deployment.Number || w.role == "" {
		return deploy.Reject(deploy.CodeNotFound, "there is no deployment %d", n)
	}
	return nil
}

func (w *world) Running(n deploy.Number) bool {
	defer w.count("Running")()
	return w.running && n == w.deployment.Number
}

func (w *world) Role(context.Context, deploy.Caller, deploy.AppName) (deploy.Role, error) {
	defer w.count("Role")()
	return w.role, nil
}

func (w *world) Stages(_ context.Context, _ deploy.Caller, n deploy.Number) (deploy.Deployment, []deploy.StageRecord, error) {
	defer w.count("Stages")()
	return w.deployment, slices.Clone(w.stages), w.missing(n)
}

func (w *world) Events(_ context.Context, _ deploy.Caller, f deploy.EventFilter) ([]deploy.Event, error) {
	defer w.count("Events")()
	return slices.Clone(w.events), w.missing(f.Deployment)
}

func (w *world) LogPath(_ context.Context, _ deploy.Caller, n deploy.Number, name string) (string, error) {
	defer w.count("LogPath")()
	known := name == transcript
	for _, s := range w.stages {
		known = known || string(s.Name) == name
	}
	if !known {
		return "", deploy.Reject(deploy.CodeNotFound, "deployment %d has no stage %q", n, name)
	}
	return filepath.Join(w.dir, name+".log"), w.missing(n)
}

func (w *world) MeasurementsPath(_ context.Context, _ deploy.Caller, n deploy.Number) (string, error) {
	defer w.count("MeasurementsPath")()
	return filepath.Join(w.dir, "monitor.jsonl"), w.missing(n)
}

func (w *world) Commits(context.Context, deploy.Caller, deploy.Number, int) (deploy.History, error) {
	if w.gone != nil {
		return deploy.History{}, w.gone
	}
	return w.commits, nil
}

func (w *world) Diff(context.Context, deploy.Caller, deploy.Number, deploy.DiffLimits) (deploy.Diff, error) {
	return w.diff, nil
}

func (w *world) Cancel(_ context.Context, _ deploy.Caller, n deploy.Number, reason string) error {
	defer w.count("Cancel")()
	w.done = append(w.done, fmt.Sprintf("cancel %d %s", n, reason))
	return w.missing(n)
}

func (w *world) BeginAgain(_ context.Context, _ deploy.Caller, app deploy.AppName, a deploy.Again) (deploy.Number, error) {
	defer w.count("BeginAgain")()
	w.done = append(w.done, fmt.Sprintf("%s %s %s", app, &a, a.Reason))
	return 77, nil
}

func (w *world) MarkRegression(_ context.Context, _ deploy.Caller, n deploy.Number, reason string, fixedBy deploy.Number) (deploy.Regression, error) {
	defer w.count("MarkRegression")()
	w.done = append(w.done, fmt.Sprintf("regression %d %s %d", n, reason, fixedBy))
	return deploy.Regression{}, w.missing(n)
}

// everybody is signed in as alice by any cookie.
type everybody struct{ sessions }

// sessions are those that no test here asks for.
type sessions = Sessions

func (everybody) SessionCaller(context.Context, string, string) (deploy.Caller, deploy.Session, error) {
	return deploy.Caller{User: "alice", Actor: deploy.Actor{Type: deploy.ActorUser, Name: "alice"}}, deploy.Session{}, nil
}

type places struct{}

func (places) SSH() string                   { return "ssh -p 2222 localhost" }
func (places) Clone(a deploy.AppName) string { return "ssh://localhost:2222/" + string(a) }
func (places) App(a deploy.AppName) string   { return "http://" + string(a) + ".localhost:8000" }

// serve serves the pages of a world.
func (w *world) serve(t *testing.T, options ...func(*Config)) *httptest.Server {
	t.Helper()
	c := Config{
		Control: w, Sessions: everybody{}, IP: func(*http.Request) string { return "127.0.0.1" }, Places: places{},
		Stopping: make(chan struct{}), Now: time.Now, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, o := range options {
		o(&c)
	}
	site, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Stopping == nil { // slow readers are what is looked at
		site.patience = 200 * time.Millisecond
	}
	w.site = site
	server := httptest.NewUnstartedServer(site)
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if tcp, ok := conn.(*net.TCPConn); ok && state == http.StateNew && c.Stopping == nil {
			_ = tcp.SetWriteBuffer(32 << 10)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// request is a request of alice.
func request(t *testing.T, method, address string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.AddCookie(&http.Cookie{Name: cookieName, Value: "any"})
	return r
}

// answer sends a request and follows no redirect.
func answer(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// page is a page that must be there.
func page(t *testing.T, address string) string {
	t.Helper()
	res, body := answer(t, request(t, http.MethodGet, address, nil))
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", address, res.Status, body)
	}
	return body
}
