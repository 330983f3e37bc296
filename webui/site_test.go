package webui_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/control"
	"slipway/deploy/store"
	"slipway/deploy/variables"
	"slipway/gitserver/repo"
	"slipway/webui"
)

// yard is the pages over the real control with its store, audit log and repositories. What deploys is made up.
type yard struct {
	testing.TB
	layout   deploy.Layout
	store    *store.Store
	recorder *audit.Recorder
	repos    *repo.Store
	control  *control.Control
	shore    *shore
	site     *webui.Site
	server   *httptest.Server
	tooMany  bool
}

func newYard(t testing.TB) *yard {
	t.Helper()
	y := &yard{TB: t, layout: deploy.Layout(t.TempDir()), shore: &shore{}}
	logger := slog.New(slog.DiscardHandler)
	log, err := audit.Open(y.layout.Audit(), audit.Config{Logger: logger})
	y.must(err)
	t.Cleanup(func() { log.Close() })
	y.store, err = store.Open(t.Context(), y.layout.Database(), logger)
	y.must(err)
	t.Cleanup(func() { y.store.Close() })
	y.recorder, y.repos = audit.NewRecorder(log, y.store, logger), repo.New(repo.Config{Layout: y.layout, Logger: logger})
	y.control = control.New(control.Config{
		Layout: y.layout, Records: y.store, Recorder: y.recorder, Pipeline: y.shore, Engine: y.shore, Variables: variables.New(y.layout),
		Places: y, Refs: y.repos, Sources: y.repos, Trail: y, Mask: func(_ map[string]string, s string) string { return s }, Logger: logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = y.control.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	y.site, err = webui.New(webui.Config{
		Control: y.control, Sessions: y.control, Traffic: y.shore, Manual: manual{}, IP: func(*http.Request) string { return "192.0.2.7" },
		TooMany: func(string) bool { return y.tooMany }, Places: addresses{}, Now: time.Now, Logger: logger,
	})
	y.must(err)
	y.server = httptest.NewServer(y.site)
	t.Cleanup(y.server.Close)
	return y
}

func (y *yard) must(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

// Make implements control.Places.
func (y *yard) Make(ctx context.Context, app deploy.App) error {
	if err := os.MkdirAll(y.layout.App(app.Name), 0o700); err != nil {
		return err
	}
	return y.repos.Create(ctx, app.Name, repo.Options{ObjectFormat: repo.ObjectFormat(app.ObjectFormat), GatedRef: app.GatedRef})
}
func (y *yard) Clear(context.Context, deploy.AppName) error { return nil }
func (y *yard) CheckRef(ref deploy.RefName) error           { return repo.CheckRefName(ref) }
func (y *yard) Remove(ctx context.Context, app deploy.App) error {
	return y.repos.Remove(ctx, app.Name)
}

// State implements control.Trail.
func (y *yard) State() deploy.ChainState {
	head := y.recorder.Head()
	return deploy.ChainState{Sequence: head.Sequence, Hash: head.Hash}
}
func (y *yard) Verify(ctx context.Context) (deploy.ChainReport, deploy.Event, error) {
	found, err := audit.Verify(ctx, y.layout.Audit(), y.recorder.Head())
	report := deploy.ChainReport{Files: found.Files, Events: found.Events, Head: deploy.ChainState{Sequence: found.Head.Sequence, Hash: found.Head.Hash}}
	data := deploy.VerifiedData{Events: found.Events, Count: len(found.Findings)}
	e := deploy.Event{Type: deploy.EventAuditVerified, Outcome: deploy.OutcomePass}
	for _, f := range found.Findings {
		e.Outcome = deploy.OutcomeFail
		data.Findings = append(data.Findings, f.String())
		report.Findings = append(report.Findings, deploy.ChainFinding{Kind: string(f.Kind), File: f.File, Line: f.Line, Detail: f.Detail})
	}
	return report, e.WithData(data), err
}

// shore is a pipeline and an engine that do nothing but say what was asked, and fail if they are told to.
type shore struct {
	mu      sync.Mutex
	again   []deploy.AgainRequest
	waiting []deploy.Waiting
	looks   int
	fail    error
	traffic map[deploy.AppName]deploy.RecentTraffic
}

func (s *shore) Again(_ context.Context, r deploy.AgainRequest, _ io.Writer) deploy.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = append(s.again, r)
	r.Queued(77)
	return deploy.Answer{Number: 77, Accepted: true}
}

// looked is how often instances were looked for.
func (s *shore) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// asked returns what was asked, and forgets it.
func (s *shore) asked() []deploy.AgainRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.again
	s.again = nil
	return all
}
func (s *shore) PutRight(context.Context, deploy.App) error       { return nil }
func (s *shore) Cancel(deploy.Number, deploy.Actor, string) error { return nil }
func (s *shore) Queue() []deploy.Waiting                          { return s.waiting }
func (s *shore) Running(deploy.Number) bool                       { return false }
func (s *shore) Restart(context.Context, deploy.Target) error     { return nil }
func (s *shore) Of(app deploy.AppName) deploy.RecentTraffic       { return s.traffic[app] }
func (s *shore) Hold(ctx context.Context, _ deploy.Target, do func(context.Context) error) error {
	return do(ctx)
}

func (s *shore) Serving(context.Context, deploy.Target) (deploy.Number, error) { return 1, s.fail }
func (s *shore) Instances(_ context.Context, t deploy.Target, n deploy.Number) ([]deploy.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return []deploy.Instance{{App: t.App, Release: n, Process: "web", Index: 1, Addr: "127.0.0.1:1"}, {App: t.App, Release: n, Process: "worker", Index: 1}}, s.fail
}

func (s *shore) Inspect(_ context.Context, i deploy.Instance) (deploy.InstanceState, error) {
	if i.Process == "worker" {
		return deploy.InstanceState{Restarts: 4, LastExit: "exit status 1"}, nil
	}
	return deploy.InstanceState{Running: true, StartedAt: time.Now(), Memory: 42 << 20}, nil
}
func (s *shore) OneOff(context.Context, deploy.Target, deploy.Number, []string, control.Stdio) (control.OneOffResult, error) {
	return control.OneOffResult{}, errors.New("not here")
}

type addresses struct{}

func (addresses) SSH() string                   { return "ssh -p 2222 host" }
func (addresses) Clone(a deploy.AppName) string { return "ssh://host:2222/" + string(a) }
func (addresses) App(a deploy.AppName) string   { return "http://" + string(a) + ".host:8000" }

type manual struct{}

func (manual) Topics() []webui.Topic {
	return []webui.Topic{{Name: "overview", Text: "How it works"}, {Name: "rollback", Text: "usage: slipway rollback"}}
}
func (manual) Settings() []webui.Setting {
	return []webui.Setting{{Name: "max_push", Value: "1GiB", From: "default"}}
}

func operator() deploy.Caller {
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorOperator, Name: "operator", Origin: "socket"}, Admin: true}
}

func (y *yard) record(e deploy.Event) {
	y.Helper()
	if e.Actor.Type == "" {
		e.Actor = deploy.ServerActor("test")
	}
	_, err := y.recorder.Record(y.Context(), e)
	y.must(err)
	y.recorder.Wait()
}

func (y *yard) app(names ...deploy.AppName) {
	y.Helper()
	for _, name := range names {
		_, err := y.control.CreateApp(y.Context(), operator(), deploy.NewApp{Name: name})
		y.must(err)
	}
}

// user makes a user, and returns its browser, signed in.
func (y *yard) user(name deploy.UserName, role deploy.Role, grants ...deploy.Grant) *browser {
	y.Helper()
	_, err := y.control.AddUser(y.Context(), operator(), name, role, nil)
	y.must(err)
	for _, g := range grants {
		g.User = name
		y.must(y.control.Grant(y.Context(), operator(), g))
	}
	return y.browser(name)
}

// deployed makes an accepted deployment.
func (y *yard) deployed(n deploy.Number, app deploy.AppName, subject string) {
	y.Helper()
	y.queued(n, app, subject)
	of := func(e deploy.Event) {
		e.App, e.Environment, e.Deployment = app, deploy.Production, n
		y.record(e)
	}
	of(deploy.Event{Type: deploy.EventDeploymentStarted}.WithData(deploy.StartedData{}))
	of(deploy.Event{Type: deploy.EventSwitchIntended}.WithData(deploy.SwitchData{To: n}))
	of(deploy.Event{Type: deploy.EventAccepted}.WithData(deploy.SwitchData{To: n}))
	of(deploy.Event{Type: deploy.EventRefMoved})
}

func (y *yard) queued(n deploy.Number, app deploy.AppName, subject string) {
	y.Helper()
	y.record(deploy.Event{Type: deploy.EventDeploymentQueued, App: app, Deployment: n}.WithData(deploy.Deployment{
		Number: n, App: app, Environment: deploy.Production, Ref: "refs/heads/main", New: deploy.OID(strings.Repeat("a", 40)), QueuedAt: time.Now(),
		Commit: deploy.Commit{Subject: subject, Author: "Alice Meyer"}, Pusher: deploy.Pusher{User: "alice", Fingerprint: "SHA256:x", IP: "192.0.2.1"},
	}))
}

// browser keeps cookies and follows no redirects.
type browser struct {
	*yard
	client *http.Client
}

func (y *yard) stranger() *browser {
	y.Helper()
	jar, err := cookiejar.New(nil)
	y.must(err)
	return &browser{y, &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// browser is one that is signed in as a user, "" for the operator.
func (y *yard) browser(name deploy.UserName) *browser {
	y.Helper()
	secret, _, err := y.control.SignInLink(y.Context(), operator(), name)
	y.must(err)
	b := y.stranger()
	b.post(http.StatusSeeOther, "/login", "link", secret)
	return b
}

// get asks for a page and returns it.
func (b *browser) get(status int, path string) string {
	b.Helper()
	text, _ := b.do(status, http.MethodGet, path, "")
	return text
}

// post sends a form and returns where the answer leads.
func (b *browser) post(status int, path string, fields ...string) string {
	b.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	_, location := b.do(status, http.MethodPost, path, form.Encode())
	return location
}

func (b *browser) do(status int, method, path, form string, headers ...string) (text, location string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.server.URL+path, strings.NewReader(form))
	b.must(err)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(r)
	b.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	b.must(err)
	if res.StatusCode != status {
		b.Fatalf("%s %s: %s, want %d\n%s", method, path, res.Status, status, body)
	}
	return string(body), res.Header.Get("Location")
}

// has checks that a page has all of these words.
func has(t testing.TB, page string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(page, word) {
			t.Errorf("%q is not in the page\n%s", word, page)
		}
	}
}

// hasNot checks that a page has none of these words.
func hasNot(t testing.TB, page string, words ...string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(page, word) {
			t.Errorf("%q is in the page\n%s", word, page)
		}
	}
}
