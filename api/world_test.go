package api_test

import (
	"context"
	"io"
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
	"slipway/deploy/control/controltest"
)

// world is a server with the records of a control. What deploys is made up.
type world struct {
	*controltest.World
	pipeline *madeUp
	server   *httptest.Server
	stopping chan struct{}
}

func newWorld(t testing.TB) *world { return worldIn(t, deploy.Layout(t.TempDir())) }

// worldIn is a server of what is in a data directory.
func worldIn(t testing.TB, l deploy.Layout) *world {
	t.Helper()
	w := &world{pipeline: &madeUp{running: map[deploy.Number]bool{}}, stopping: make(chan struct{})}
	w.World = controltest.New(t, l, w.pipeline)
	handler, err := api.New(api.Config{Control: w.Control, Stopping: w.stopping, Logger: w.Logger})
	w.Must(err)
	w.server = httptest.NewServer(handler)
	t.Cleanup(w.server.Close)
	return w
}

// halt ends the server, so that another can be started in its folder.
func (w *world) halt() {
	w.server.Close()
	w.Close()
}

// madeUp is a pipeline and an engine that do nothing but say what was asked.
type madeUp struct {
	controltest.Idle
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

func (m *madeUp) Cancel(n deploy.Number, _ deploy.Actor, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running[n] {
		return deploy.Reject(deploy.CodeNotFound, "deployment %d is not running", n)
	}
	m.canceled = append(m.canceled, n)
	return nil
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
func (m *madeUp) Instances(_ context.Context, t deploy.Target, n deploy.Number) ([]deploy.Instance, error) {
	return []deploy.Instance{{App: t.App, Release: n, Process: "web", Index: 1, Addr: "127.0.0.1:1"}}, nil
}

func (m *madeUp) Inspect(context.Context, deploy.Instance) (deploy.InstanceState, error) {
	return deploy.InstanceState{Running: true, StartedAt: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Memory: 1 << 20, CPU: time.Second}, nil
}

// user makes a user and returns its name as a caller.
func (w *world) user(name deploy.UserName, role deploy.Role) deploy.Caller {
	w.Helper()
	w.User(name, role)
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorUser, Name: string(name)}, User: name, Admin: role == deploy.RoleAdmin}
}

func (w *world) token(who deploy.Caller, role deploy.Role, app deploy.AppName) string {
	w.Helper()
	_, secret, err := w.Control.CreateToken(w.Context(), who, deploy.NewToken{Name: "test", Limit: deploy.Limit{Role: role, App: app}, Expires: time.Hour})
	w.Must(err)
	return secret
}

// deployed makes an accepted deployment with a stage and its log.
func (w *world) deployed(n deploy.Number, app deploy.AppName, user deploy.UserName, subject string) {
	w.Helper()
	w.Queued(n, app, user, subject)
	w.write(n, "build.log", "one\ntwo\nthree\n")
	w.write(n, "transcript.log", "what the pusher read\n")
	w.write(n, "monitor.jsonl", "{}\n")
	w.Of(n, app,
		deploy.Event{Type: deploy.EventDeploymentStarted}.WithData(deploy.StartedData{}),
		deploy.Event{Type: deploy.EventStageStarted, Stage: deploy.StageBuild},
		deploy.Event{Type: deploy.EventStageFinished, Stage: deploy.StageBuild, Outcome: deploy.OutcomePass}.
			WithData(deploy.StageData{Log: "build.log", Size: 14, Checks: []deploy.Check{{Name: "probe", Outcome: deploy.OutcomePass, Detail: "fine"}}}),
		deploy.Event{Type: deploy.EventAccepted}.WithData(deploy.SwitchData{To: n}),
		deploy.Event{Type: deploy.EventRefMoved})
}

func (w *world) write(n deploy.Number, name, text string) {
	w.Helper()
	w.Must(os.MkdirAll(w.Layout.Deployment(n), 0o700))
	w.Must(os.WriteFile(filepath.Join(w.Layout.Deployment(n), name), []byte(text), 0o600))
}

// ask sends a request and returns the answer with its body.
func (w *world) ask(token, method, path, body string, headers ...string) (*http.Response, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, strings.NewReader(body))
	w.Must(err)
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
	w.Must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	w.Must(err)
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
