package traffic

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"slipway/deploy"
)

const (
	// recentStep is how often a [Recent] looks.
	recentStep = 10 * time.Second
	// recentSteps is how many of its looks are remembered: half an hour.
	recentSteps = 180
)

// Router is what a [Recent] asks; a [Client] is one.
type Router interface {
	Routes(ctx context.Context) ([]Route, error)
	Counts(ctx context.Context, instance deploy.Instance) (deploy.TrafficCounts, error)
}

// Recent remembers what the router passed to each app in the last half hour, in memory. What an instance got
// between the last look and its end is not in it. It is safe for concurrent use.
type Recent struct {
	router Router
	logger *slog.Logger

	mu   sync.Mutex
	apps map[deploy.AppName]*recentApp // those of the router's table
	last map[deploy.Instance]passed    // nil before the first look
}

// passed is what an instance has got, since it was routed to.
type passed struct{ requests, errors int64 }

type recentApp struct {
	requests, errors [recentSteps]int64 // rings
	next             int
}

// NewRecent makes one. It starts nothing.
func NewRecent(router Router, logger *slog.Logger) *Recent {
	return &Recent{router: router, logger: logger, apps: map[deploy.AppName]*recentApp{}}
}

// Run looks every ten seconds until ctx ends.
func (r *Recent) Run(ctx context.Context) error {
	tick := time.NewTicker(recentStep)
	defer tick.Stop()
	for {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.logger.Warn("reading what the router passed on", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look adds what came since the last look.
func (r *Recent) look(ctx context.Context) error {
	routes, err := r.router.Routes(ctx)
	if err != nil {
		return err
	}
	seen, gained := map[deploy.Instance]passed{}, map[deploy.AppName]passed{}
	for _, route := range routes {
		sum := passed{}
		for _, i := range route.Upstreams {
			counts, err := r.router.Counts(ctx, i)
			if err != nil {
				continue // it is being replaced
			}
			now := passed{counts.Requests, counts.ByClass[5] + counts.ByClass[0]}
			seen[i] = now
			sum = sum.plus(r.since(i, now))
		}
		gained[route.App] = sum
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = seen
	for app := range r.apps {
		if _, there := gained[app]; !there {
			delete(r.apps, app)
		}
	}
	for app, sum := range gained {
		one := r.apps[app]
		if one == nil {
			one = &recentApp{}
			r.apps[app] = one
		}
		one.requests[one.next], one.errors[one.next] = sum.requests, sum.errors
		one.next = (one.next + 1) % recentSteps
	}
	return nil
}

// since is what an instance got after the last look. At the first look nobody knows when the rest came; a
// router that was killed counts from zero again. Only look calls it, so last needs no lock.
func (r *Recent) since(i deploy.Instance, now passed) passed {
	if r.last == nil {
		return passed{}
	}
	before := r.last[i]
	if now.requests < before.requests {
		return now
	}
	return passed{now.requests - before.requests, max(now.errors-before.errors, 0)}
}

func (p passed) plus(o passed) passed { return passed{p.requests + o.requests, p.errors + o.errors} }

// Of returns what an app got.
func (r *Recent) Of(app deploy.AppName) deploy.RecentTraffic {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.apps[app]
	if one == nil {
		return deploy.RecentTraffic{Step: recentStep}
	}
	unrolled := func(ring [recentSteps]int64) []int64 {
		return slices.Concat(ring[one.next:], ring[:one.next])
	}
	return deploy.RecentTraffic{Step: recentStep, Requests: unrolled(one.requests), Errors: unrolled(one.errors)}
}
