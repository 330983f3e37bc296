package webui_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
	"slipway/webui"
)

// yard is the pages over a control with its records. What deploys is made up.
type yard struct {
	*controltest.World
	shore   *shore
	site    *webui.Site
	server  *httptest.Server
	tooMany bool
}

func newYard(t testing.TB) *yard {
	t.Helper()
	y := &yard{shore: &shore{}}
	y.World = controltest.New(t, deploy.Layout(t.TempDir()), y.shore)
	var err error
	y.site, err = webui.New(webui.Config{
		Control: y.Control, Sessions: y.Control, Traffic: y.shore, Manual: manual{}, IP: func(*http.Request) string { return "192.0.2.7" },
		TooMany: func(string) bool { return y.tooMany }, Places: addresses{}, Now: time.Now, Logger: y.Logger,
	})
	y.Must(err)
	y.server = httptest.NewServer(y.site)
	t.Cleanup(y.server.Close)
	return y
}

// shore is a pipeline and an engine that do nothing but say what was asked, and fail if they are told to.
type shore struct {
	controltest.Idle
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
func (s *shore) Queue() []deploy.Waiting                                       { return s.waiting }
func (s *shore) Of(app deploy.AppName) deploy.RecentTraffic                    { return s.traffic[app] }
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

// user makes a user, and returns its browser, signed in.
func (y *yard) user(name deploy.UserName, role deploy.Role, grants ...deploy.Grant) *browser {
	y.Helper()
	y.User(name, role, grants...)
	return y.browser(name)
}

// deployed makes an accepted deployment.
func (y *yard) deployed(n deploy.Number, app deploy.AppName, subject string) {
	y.Helper()
	y.queued(n, app, subject)
	y.Accept(n, app)
}

func (y *yard) queued(n deploy.Number, app deploy.AppName, subject string) {
	y.Helper()
	y.Queued(n, app, "alice", subject)
}

// browser keeps cookies and follows no redirects.
type browser struct {
	*yard
	client *http.Client
}

func (y *yard) stranger() *browser {
	y.Helper()
	jar, err := cookiejar.New(nil)
	y.Must(err)
	return &browser{y, &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// browser is one that is signed in as a user, "" for the operator.
func (y *yard) browser(name deploy.UserName) *browser {
	y.Helper()
	secret, _, err := y.Control.SignInLink(y.Context(), controltest.Operator(), name)
	y.Must(err)
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
	b.Must(err)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(r)
	b.Must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	b.Must(err)
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
