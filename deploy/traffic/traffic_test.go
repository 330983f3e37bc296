package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/traffic"
)

// The package's story: an app is made known, deployed, and switched to its next release while a request
// is being served, which ends where it began.
func TestSwitchLetsRequestsEndWhereTheyBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	served := make(chan error, 1)
	go func() {
		served <- traffic.Serve(ctx, traffic.Config{
			Listen:    "127.0.0.1:0",
			Socket:    filepath.Join(dir, "router.sock"),
			StateFile: filepath.Join(dir, "state.json"),
			Domain:    "localhost",
		})
	}()
	client := traffic.NewClient(filepath.Join(dir, "router.sock"))
	health, err := client.Health(ctx)
	if err != nil {
		t.Fatal(err)
	}
	get := func() string {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health.Listen+"/", nil)
		req.Host = "shop.localhost:8000"
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return fmt.Sprintf("%d %s", res.StatusCode, b)
	}

	route := func(release deploy.Number, upstreams ...deploy.Instance) {
		t.Helper()
		if err := client.Route(ctx, traffic.Route{App: "shop", Release: release, Upstreams: upstreams}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}

	route(0)
	want(get(), "503 nothing is deployed to \"shop\" yet\n")

	began, finish := make(chan bool), make(chan bool)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		began <- true
		<-finish
		io.WriteString(w, "release 41")
	}))
	defer old.Close()
	instance41 := deploy.Instance{App: "shop", Release: 41, Process: "web", Index: 1, Addr: old.Listener.Addr().String()}
	route(41, instance41)
	slow := make(chan string)
	go func() { slow <- get() }()
	<-began

	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "release 42") }))
	defer next.Close()
	route(42, deploy.Instance{App: "shop", Release: 42, Process: "web", Index: 1, Addr: next.Listener.Addr().String()})
	want(get(), "200 release 42")

	var left *traffic.InFlightError
	if err := client.Drain(ctx, "shop", 41, time.Millisecond); !errors.As(err, &left) || left.Requests != 1 {
		t.Errorf("draining while a request is in flight: %v", err)
	}
	close(finish)
	want(<-slow, "200 release 41")
	if err := client.Drain(ctx, "shop", 41, time.Minute); err != nil {
		t.Error(err)
	}
	counts, err := client.Counts(ctx, instance41)
	if err != nil || counts.Requests != 1 || counts.ByClass[2] != 1 || counts.InFlight != 0 {
		t.Errorf("counts of release 41: %+v, %v", counts, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
