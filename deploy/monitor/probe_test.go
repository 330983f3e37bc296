package monitor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
)

// Probes against real servers.
func TestProbe(t *testing.T) {
	serve := func(h http.HandlerFunc) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	listen := func(each func(net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go each(c)
			}
		}()
		return l.Addr().String()
	}
	nobody := boundOnly(t)
	for _, c := range []struct {
		name, addr, path string
		ok               bool
		want             string // blame, without times
	}{
		{"answers", serve(func(http.ResponseWriter, *http.Request) {}), "", true, "GET /up answered 200"},
		{"redirects", serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		}), "", true, "GET /up answered 302"},
		{"fails", serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), "", false, "GET /up answered 503"},
		{"knows nothing", serve(http.NotFound), "", true, "GET / answered 404"},
		{"is asked for its own path", serve(http.NotFound), "/health?x=1", true, "GET /health?x=1 answered 404"},
		{"has a broken front page", serve(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/up" {
				http.NotFound(w, r)
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
		}), "", false, "GET / answered 500"},
		{"breaks off", serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		}), "", false, "GET /up: its answer 200 broke off"},
		{"hangs up", listen(func(c net.Conn) { _, _ = c.Read(make([]byte, 1000)); c.Close() }), "", false, "GET /up: connection closed without an answer"},
		{"is not there", nobody, "", false, "GET /up: connection refused"},
		{"speaks something else", listen(func(c net.Conn) { _, _ = c.Write([]byte("220 mail\r\n")); c.Close() }), "", true, "connection: "},
		{"never answers", listen(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "", false, "GET /up: no answer within"},
		{"streams", serve(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("half"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), "", true, "GET /up answered 200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			m := New(Config{})
			p := newProber(m.probes, c.addr, c.path).probe(ctx)
			if p.ok != c.ok || !strings.HasPrefix(p.blame(), c.want) {
				t.Errorf("ok = %v, %q, want %v, %q", p.ok, p.blame(), c.ok, c.want)
			}
			if p.String() == "" {
				t.Error("it says nothing")
			}
		})
	}
}

// A whole watch against a real server that begins to fail.
func TestWatchRealServer(t *testing.T) {
	answered := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answered <- struct{}{}
		if len(answered) > 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	h, s := newHost(), subject()
	s.Candidate.Instances[0].Addr = server.Listener.Addr().String()
	s.Manifest.Monitor.Interval = 10 * time.Millisecond
	w, err := New(Config{Instances: h, Counters: h}).Watch(t.Context(), s, func(deploy.Measurement) {})
	if want := "web did not answer 3 probes in a row: GET /up answered 500"; err != nil || w.Reason != want {
		t.Errorf("reason = %q, %v, want %q", w.Reason, err, want)
	}
	if len(answered) != 6 {
		t.Errorf("%d probes were sent, want 6", len(answered))
	}
}

// A production elsewhere is probed at its own address and has to tell the revision.
func TestElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		health   int
		revision string
		want     string
	}{
		"the candidate":        {200, "revision: " + string(revision) + "\n", ""},
		"shortened":            {200, `{"revision":"` + strings.ToUpper(string(revision[:12])) + `"}`, ""},
		"too short":            {200, string(revision[:7]), `/revision does not answer with revision 3f2c9e1 but with "3f2c9e1"`},
		"another":              {200, strings.Repeat("ab", 20), `/revision does not answer with revision 3f2c9e1 but with "` + strings.Repeat("ab", 20) + `"`},
		"longer than it is":    {200, string(revision) + "0", `/revision does not answer with revision 3f2c9e1 but with "` + string(revision) + `0"`},
		"a page":               {200, "<html>", "/revision does not answer with revision 3f2c9e1"},
		"not healthy":          {503, string(revision), "production did not answer 3 probes in a row: GET URL/up answered 503"},
		"nothing like it here": {404, "", "/revision does not answer with revision 3f2c9e1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/up" {
					w.WriteHeader(c.health)
					return
				}
				_, _ = w.Write([]byte(c.revision))
			}))
			defer server.Close()
			s := Subject{Decide: true, Candidate: deploy.Candidate{Release: deploy.Release{Number: 42, Revision: revision}}, Manifest: &deploy.Manifest{
				Deploy:  deploy.DeployPlan{Run: deploy.Step{Commands: []string{"./ship"}}},
				Health:  deploy.Health{URL: server.URL + "/up"},
				Verify:  deploy.Verify{URL: server.URL + "/revision"},
				Monitor: deploy.MonitorPlan{BakeTime: 60 * time.Millisecond, Interval: 20 * time.Millisecond},
			}}
			w, err := New(Config{}).Watch(t.Context(), s, func(deploy.Measurement) {})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(w.Reason, server.URL, "URL")
			got = strings.TrimPrefix(got, "URL")
			if got != c.want || w.Pass != (c.want == "") {
				t.Errorf("pass = %v, reason = %q, want %q", w.Pass, got, c.want)
			}
			if len(w.Checks) != 2 {
				t.Errorf("checks = %+v", w.Checks)
			}
		})
	}
}

func TestElsewhereWithoutAddress(t *testing.T) {
	s := Subject{Decide: true, Manifest: &deploy.Manifest{Deploy: deploy.DeployPlan{Run: deploy.Step{Commands: []string{"./ship"}}}}}
	w, err := New(Config{}).Watch(t.Context(), s, func(deploy.Measurement) {})
	if err != nil || w.Pass {
		t.Errorf("result = %+v, %v", w, err)
	}
}

// boundOnly is an address that nobody listens at, nor can while the test runs: its port is taken.
func boundOnly(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}
