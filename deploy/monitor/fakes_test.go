package monitor

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
)

// host is a machine with instances and a router, as far as a monitor sees them. Its script says what
// happens at which moment of the watch.
type host struct {
	mu     sync.Mutex
	start  time.Time
	script func(h *host, at time.Duration) // called before each answer
	state  deploy.InstanceState
	counts deploy.TrafficCounts
	broken error // Inspect fails
	lost   error // Counts fails

	answer func(r *http.Request) (int, error)
	asked  []string
}

func (h *host) now() {
	if h.script != nil {
		h.script(h, time.Since(h.start))
	}
}

func (h *host) Inspect(context.Context, deploy.Instance) (deploy.InstanceState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	return h.state, h.broken
}

func (h *host) Counts(context.Context, deploy.Instance) (deploy.TrafficCounts, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	return h.counts, h.lost
}

func (h *host) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.now()
	h.asked = append(h.asked, r.URL.Path)
	answer := h.answer
	h.mu.Unlock()
	status, err := answer(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

func always(status int) func(*http.Request) (int, error) {
	return func(*http.Request) (int, error) { return status, nil }
}

const releaseDir = "/data/apps/shop/releases/42"

// newHost is a healthy host at the present moment.
func newHost() *host {
	return &host{
		start: time.Now(),
		state: deploy.InstanceState{
			Running: true, PID: 4711, StartedAt: time.Now(), Dir: releaseDir, Listening: true, Memory: 50 << 20,
		},
		answer: always(200),
	}
}

// users lets requests of users end.
func (h *host) users(ok, failed int64) {
	h.counts.Requests += ok + failed
	h.counts.ByClass[2] += ok
	h.counts.ByClass[5] += failed
}

// subject is release 42 with one web instance, watched for 15 s.
func subject() Subject {
	return Subject{
		Candidate: deploy.Candidate{
			Release:   deploy.Release{App: "shop", Number: 42, Revision: revision, Dir: releaseDir, CreatedAt: time.Now()},
			Instances: []deploy.Instance{{App: "shop", Release: 42, Process: "web", Index: 1, Addr: "127.0.0.1:4042"}},
		},
		Manifest: &deploy.Manifest{Monitor: deploy.MonitorPlan{BakeTime: 15 * time.Second, Interval: 250 * time.Millisecond, MaxErrorRate: 0.01}},
		Decide:   true,
	}
}

const revision = deploy.OID("3f2c9e1d0a4b5c6d7e8f90112233445566778899")

// seen is what a watch reported.
type seen struct {
	result deploy.WatchResult
	err    error
	all    []deploy.Measurement
	took   time.Duration
}

// watch runs one watch on a host.
func (h *host) watch(ctx context.Context, s Subject) seen {
	var w seen
	m := New(Config{Instances: h, Counters: h, Transport: h})
	start := time.Now()
	w.result, w.err = m.Watch(ctx, s, func(m deploy.Measurement) { w.all = append(w.all, m) })
	w.took = time.Since(start)
	return w
}

func (w seen) check(name string) deploy.Check {
	for _, c := range w.result.Checks {
		if c.Name == name {
			return c
		}
	}
	return deploy.Check{}
}

// newLog makes an instance's log.
func newLog(t *testing.T, text string) (path string, add func(string)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "web.1.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func(text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil {
			t.Error(err)
		}
		f.Close()
	}
}
