package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// settled returns the counts of an instance once nothing is in flight there.
func settled(t *testing.T, r *testRouter, instance deploy.Instance) deploy.TrafficCounts {
	t.Helper()
	var c deploy.TrafficCounts
	eventually(t, "nothing is in flight", func() bool {
		var err error
		c, err = r.Counts(t.Context(), instance)
		return err == nil && c.InFlight == 0
	})
	return c
}

func TestCountsAreExact(t *testing.T) {
	r := newTestRouter(t)
	up := r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/break":
			panic(http.ErrAbortHandler)
		}
		var status int
		fmt.Sscanf(req.URL.Path, "/%d", &status)
		w.WriteHeader(status)
	}))
	send := func(n int, path string) {
		// Over a kept connection the client would send a GET that got no answer again.
		tr := &http.Transport{DisableKeepAlives: path == "/cut"}
		defer tr.CloseIdleConnections()
		for range n {
			res, err := tr.RoundTrip(r.request("GET", "shop.localhost", path, nil))
			if err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}
	}
	var all sync.WaitGroup
	for path, n := range map[string]int{"/200": 1200, "/204": 5, "/304": 7, "/404": 11, "/500": 3, "/503": 2, "/cut": 4, "/break": 6} {
		all.Go(func() { send(n, path) })
	}
	all.Wait()
	c := settled(t, r, up[0])
	if len(c.Latencies) != 1000 {
		t.Errorf("%d latencies", len(c.Latencies))
	}
	for _, d := range c.Latencies {
		if d <= 0 || d > time.Minute {
			t.Fatalf("latency %s", d)
		}
	}
	c.Latencies = nil
	want := deploy.TrafficCounts{Requests: 1238, ByClass: [6]int64{10, 0, 1205, 7, 11, 5}}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	_, err := r.Counts(t.Context(), deploy.Instance{App: "shop", Release: 9})
	if !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("counts of an instance that never was: %v", err)
	}
}

// A client that goes away says nothing about the app.
func TestClientsThatGoAway(t *testing.T) {
	r := newTestRouter(t)
	began := make(chan bool)
	up := r.route("shop", 1, backend(t, func(_ http.ResponseWriter, req *http.Request) {
		began <- true
		<-req.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, err := http.DefaultClient.Do(r.request("GET", "shop.localhost", "/", nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if c := settled(t, r, up[0]); c.Requests != 1 || c.ByClass[4] != 1 {
		t.Errorf("%+v", c)
	}
}

func TestRequestsSpreadOverInstances(t *testing.T) {
	r := newTestRouter(t)
	var backends []*httptest.Server
	for i := range 3 {
		backends = append(backends, backend(t, says(fmt.Sprint(i))))
	}
	up := r.route("shop", 1, backends...)
	for range 300 {
		r.get("shop.localhost", "/")
	}
	for _, u := range up {
		if c := settled(t, r, u); c.Requests < 80 || c.Requests > 120 {
			t.Errorf("instance %d got %d of 300", u.Index, c.Requests)
		}
	}
}

// A refused connection has taken nothing of the request, not even a POST's body.
func TestRefusedConnectionsAreTriedElsewhere(t *testing.T) {
	r := newTestRouter(t)
	alive := backend(t, func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		w.Write(b)
	})
	dead1, dead2 := backend(t, says("")), backend(t, says(""))
	up := r.route("shop", 1, dead1, alive, dead2)
	dead1.Close()
	dead2.Close()
	for i := range 50 {
		body := strings.Repeat("x", i*1000)
		if status, got := do(t, r.request("POST", "shop.localhost", "/", strings.NewReader(body))); status != 200 || got != body {
			t.Fatalf("%d %.100q", status, got)
		}
	}
	if c := settled(t, r, up[1]); c.Requests != 50 || c.ByClass[2] != 50 {
		t.Errorf("the one that lives: %+v", c)
	}
	a, b := settled(t, r, up[0]), settled(t, r, up[2])
	if a.ByClass[0] != a.Requests || b.ByClass[0] != b.Requests || a.Requests+b.Requests == 0 || a.Requests+b.Requests > 10 {
		t.Errorf("those that refuse: %+v %+v", a, b)
	}
}

func TestDrain(t *testing.T) {
	r := newTestRouter(t)
	began, finish := make(chan bool), make(chan bool)
	old := backend(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/ws" {
			upgrader(w, req)
			return
		}
		began <- true
		<-finish
		io.WriteString(w, "whole")
	})
	r.route("shop", 1, old)
	if err := r.Drain(t.Context(), "shop", 1, time.Second); !errors.Is(err, ErrServing) {
		t.Errorf("draining what serves: %v", err)
	}
	slow := make(chan string, 1)
	go func() {
		_, text := r.get("shop.localhost", "/slow")
		slow <- text
	}()
	<-began
	conn, br := upgrade(t, r.addr)
	next := backend(t, says("next"))
	r.route("shop", 2, next)

	drained := make(chan error, 1)
	go func() { drained <- r.Drain(t.Context(), "shop", 1, time.Minute) }()
	finish <- true
	if text := <-slow; text != "whole" {
		t.Errorf("the slow request got %q", text)
	}
	var left *InFlightError
	if err := r.Drain(t.Context(), "shop", 1, 20*time.Millisecond); !errors.As(err, &left) || left.Requests != 1 {
		t.Errorf("while the upgraded connection lasts: %v", err)
	}
	echoes(t, conn, br, "still here")
	select {
	case err := <-drained:
		t.Fatalf("drained too early: %v", err)
	default:
	}
	conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := r.Drain(t.Context(), "shop", 77, time.Minute); err != nil {
		t.Errorf("a release that never was: %v", err)
	}
}

// Instances of one release can be exchanged: the old ones drain while the new ones serve.
func TestDrainOfRestartedInstances(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, says("first")))
	r.get("shop.localhost", "/")
	r.route("shop", 1, backend(t, says("second")))
	if err := r.Drain(t.Context(), "shop", 1, time.Minute); err != nil {
		t.Error(err)
	}
}

// An instance that is being stopped is not kept waiting by connections that carry nothing.
func TestDrainClosesIdleConnections(t *testing.T) {
	r := newTestRouter(t)
	closed := make(chan bool, 100)
	old := httptest.NewUnstartedServer(says("old"))
	old.Config.ConnState = connStates(closed)
	old.Start()
	defer old.Close()
	r.route("shop", 1, old)
	r.get("shop.localhost", "/")
	r.route("shop", 2, backend(t, says("new")))
	select {
	case <-closed:
	case <-time.After(2 * time.Second):
		t.Error("the idle connection stays")
	}
}

// The claim under pressure: while a release is switched over and over, each old one is drained and
// then poisoned. No request may reach a poisoned one.
func TestClaimNeverMissesADrain(t *testing.T) {
	r := newRouter(Config{Domain: "localhost"})
	poisoned := make(map[deploy.Number]*atomic.Bool)
	const rounds = 300
	for n := range deploy.Number(rounds + 1) {
		poisoned[n+1] = new(atomic.Bool)
	}
	put := func(n deploy.Number) {
		r.install(byApp([]Route{{App: "shop", Release: n, Upstreams: []deploy.Instance{{App: "shop", Release: n, Addr: "127.0.0.1:1"}}}}))
	}
	put(1)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var claims atomic.Int64
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				u, err := r.claim(ctx, "shop.localhost", nil)
				if err != nil {
					t.Error(err)
					return
				}
				for range rand.N(100) {
					if poisoned[u.instance.Release].Load() {
						t.Error("claimed an instance that was drained")
						return
					}
				}
				claims.Add(1)
				u.leave(2)
				runtime.Gosched()
			}
		})
	}
	for n := deploy.Number(1); n <= rounds; n++ {
		put(n + 1)
		if left, err := r.drain(ctx, "shop", n); err != nil || left != 0 {
			t.Fatal(left, err)
		}
		poisoned[n].Store(true)
	}
	cancel()
	all.Wait()
	t.Logf("%d claims in %d switches", claims.Load(), rounds)
	if len(r.upstreams) > keptRetired+1 {
		t.Errorf("%d instances are remembered", len(r.upstreams))
	}
}

// A switch under load loses nothing: every old instance is killed as soon as it has drained.
func TestSwitchUnderLoad(t *testing.T) {
	r := newTestRouter(t)
	instance := func(n int) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			b, _ := io.ReadAll(req.Body)
			fmt.Fprintf(w, "release %d %s", n, b)
		}))
	}
	current := instance(1)
	r.route("shop", 1, current)
	l := startLoad(t, r.addr, "shop.localhost", 12000)
	release := 1
	for !l.finished() {
		release++
		next := instance(release)
		r.route("shop", deploy.Number(release), next)
		if err := r.Drain(t.Context(), "shop", deploy.Number(release-1), time.Minute); err != nil {
			t.Fatal(err)
		}
		current.CloseClientConnections()
		current.Close()
		current = next
	}
	l.check(t)
	current.Close()
	t.Logf("%d requests, %d switches", l.total.Load(), release-1)
	if release < 10 {
		t.Errorf("only %d switches", release-1)
	}
}
