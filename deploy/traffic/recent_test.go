package traffic

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"slipway/deploy"
)

// counted is a router with made-up counts.
type counted struct {
	routes []Route
	counts map[deploy.Instance]deploy.TrafficCounts
	err    error
}

func (c *counted) Routes(context.Context) ([]Route, error) { return c.routes, c.err }
func (c *counted) Counts(_ context.Context, i deploy.Instance) (deploy.TrafficCounts, error) {
	counts, ok := c.counts[i]
	if !ok {
		return counts, deploy.ErrNotFound
	}
	return counts, nil
}

func (c *counted) set(i deploy.Instance, ok, bad, none int64) {
	c.counts[i] = deploy.TrafficCounts{Requests: ok + bad + none, ByClass: [6]int64{0: none, 2: ok, 5: bad}}
}

func TestRecent(t *testing.T) {
	old := deploy.Instance{App: "shop", Release: 1, Process: "web", Index: 1}
	fresh := deploy.Instance{App: "shop", Release: 2, Process: "web", Index: 1}
	router := &counted{routes: []Route{{App: "shop", Release: 1, Upstreams: []deploy.Instance{old}}, {App: "blog"}}, counts: map[deploy.Instance]deploy.TrafficCounts{}}
	r := NewRecent(router, slog.New(slog.DiscardHandler))
	look := func() {
		t.Helper()
		if err := r.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	router.set(old, 1000, 50, 0)
	look() // who knows when those came
	router.set(old, 1007, 51, 2)
	look()
	router.routes[0].Upstreams = []deploy.Instance{fresh} // a switch
	router.set(fresh, 5, 0, 0)
	look()
	router.set(fresh, 2, 1, 0) // another router
	look()
	router.err = errors.New("no router")
	if r.look(t.Context()) == nil {
		t.Error("a look without a router is no look")
	}
	router.err = nil
	got := r.Of("shop")
	if len(got.Requests) != recentSteps || len(got.Errors) != recentSteps {
		t.Fatalf("%d and %d steps, want %d", len(got.Requests), len(got.Errors), recentSteps)
	}
	for i, want := range []struct{ requests, errors int64 }{{0, 0}, {10, 3}, {5, 0}, {3, 1}} {
		at := recentSteps - 4 + i
		if got.Requests[at] != want.requests || got.Errors[at] != want.errors {
			t.Errorf("look %d: %d requests, %d errors; want %+v", i+1, got.Requests[at], got.Errors[at], want)
		}
	}
	for range recentSteps - 2 {
		look()
	}
	if got := r.Of("shop"); got.Requests[0] != 5 || got.Requests[1] != 3 {
		t.Errorf("the oldest are %v, want 5 and 3: half an hour is remembered", got.Requests[:2])
	}
	router.routes = router.routes[1:]
	look()
	if got := r.Of("shop"); got.Requests != nil {
		t.Error("an app that is gone is still remembered")
	}
	if len(r.apps) != 1 || len(r.last) != 0 {
		t.Errorf("kept are %d apps and %d instances, want 1 and 0", len(r.apps), len(r.last))
	}
}
