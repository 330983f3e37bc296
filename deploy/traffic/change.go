package traffic

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"slipway/deploy"
)

// change replaces the table by one that edit has made of its routes. When it returns, the new table
// is in force, here and in routers that have handed over to this one and still serve connections.
//
// The state file is written last, so that no visitor waits for the disk: a router killed in between starts
// with the older table, and whoever asked for the change, without an answer yet, asks the next one again.
// If writing fails (a full disk) the change stands all the same, because putting production back must work
// on the worst day; then the file is removed, so that no later router starts with a stale table.
func (r *router) change(edit func(map[deploy.AppName]Route)) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.isLeaving() {
		return errMoved
	}
	routes := r.table.Load().routes()
	edit(routes)
	r.install(routes)
	r.tellPredecessors(sorted(routes))
	r.save(routes)
	return nil
}

// obey is change for a router that has handed over: its successor tells it every table.
func (r *router) obey(routes []Route) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if !r.isLeaving() {
		return fmt.Errorf("%w order: the router has not handed over", errInvalid)
	}
	r.install(byApp(routes))
	return nil
}

func byApp(routes []Route) map[deploy.AppName]Route {
	m := make(map[deploy.AppName]Route, len(routes))
	for _, route := range routes {
		m[route.App] = route
	}
	return m
}

func checkAll(routes []Route) error {
	for _, route := range routes {
		if err := route.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *router) save(routes map[deploy.AppName]Route) {
	err := writeState(r.config.StateFile, sorted(routes))
	r.mu.Lock()
	r.stateErr = err
	r.mu.Unlock()
	if err != nil {
		r.log.Error("the table is in force but could not be saved", "file", r.config.StateFile, "error", err)
		removeState(r.config.StateFile)
	}
}

// install puts routes in force. The caller holds changing, or is starting.
func (r *router) install(routes map[deploy.AppName]Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	named := make(map[*upstream]bool)
	next := newTable(routes, r.config.Domain, func(instance deploy.Instance) *upstream {
		u := r.upstreams[instance]
		if u == nil {
			u = newUpstream(instance)
			r.upstreams[instance] = u
		}
		u.retired.Store(false)
		named[u] = true
		return u
	})
	first := r.table.Swap(next) == nil
	if first {
		close(r.primed)
	}
	for _, u := range r.upstreams {
		if !named[u] && !u.retired.Load() {
			u.retire(r.changes)
			r.forget(u.instance.App)
		}
	}
}

// keptRetired is how many instances of an app keep their counts after they left the table.
const keptRetired = 16

// forget drops the upstreams of app that were retired longest ago, but none with requests in flight.
func (r *router) forget(app deploy.AppName) {
	var retired []*upstream
	for _, u := range r.upstreams {
		if u.instance.App == app && u.retired.Load() {
			retired = append(retired, u)
		}
	}
	slices.SortFunc(retired, func(a, b *upstream) int { return cmp.Compare(b.retiredIn, a.retiredIn) })
	for i, u := range retired {
		if i >= keptRetired && u.inFlight.now() == 0 {
			delete(r.upstreams, u.instance)
		}
	}
}

// draining returns the upstreams of a release that requests are no longer sent to. It returns
// [ErrServing] if the table names the release and there is nothing else of it.
func (r *router) draining(app deploy.AppName, release deploy.Number) ([]*upstream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var old []*upstream
	serving := false
	for _, u := range r.upstreams {
		if u.instance.App != app || u.instance.Release != release {
			continue
		}
		if u.retired.Load() {
			old = append(old, u)
		} else {
			serving = true
		}
	}
	if serving && len(old) == 0 {
		return nil, fmt.Errorf("draining release %s of %s: %w", release, app, ErrServing)
	}
	return old, nil
}

// drain waits until nothing is in flight on the instances of a release, here and in predecessors,
// and returns how many requests were when ctx ended.
func (r *router) drain(ctx context.Context, app deploy.AppName, release deploy.Number) (int64, error) {
	old, err := r.draining(app, release)
	if err != nil {
		return 0, err
	}
	var left int64
	for _, u := range old {
		if u.inFlight.wait(ctx) != nil {
			left += u.inFlight.now()
		}
		u.transport.CloseIdleConnections()
	}
	for _, p := range r.predecessors() {
		n, err := p.drain(ctx, app, release)
		if err != nil {
			return left, fmt.Errorf("draining a router that handed over: %w", err)
		}
		left += n
	}
	return left, nil
}

// counts returns what was passed to an instance, here and in predecessors.
func (r *router) counts(ctx context.Context, instance deploy.Instance) (deploy.TrafficCounts, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.upstreams[instance]
	if u == nil {
		return deploy.TrafficCounts{}, fmt.Errorf("instance %s/%s at %s: %w",
			instance.App, instance.Release, instance.Addr, deploy.ErrNotFound)
	}
	c := u.counts()
	for _, p := range r.older {
		c = sum(c, p.counts(ctx, instance))
	}
	return c, nil
}
