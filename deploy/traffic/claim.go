package traffic

import (
	"context"
	"time"

	"slipway/deploy"
)

// claim chooses the upstream for a request to host and counts the request as in flight there. The
// caller ends the claim by the upstream's leave.
//
// A switch stores the new table and then waits until nothing is in flight on the old instances. A
// request looks at the table and then counts itself in, so between the two it could be overlooked:
// the switch finds zero, the instance is stopped, and then the request arrives. That is why a claim
// looks at the table again once it is counted. Go's atomic operations have one order, so either
//
//   - the request counts itself in before the drain reads the count: the drain waits for it; or
//   - it does so after, hence also after the new table was stored: the second look finds another
//     table, and the request takes itself out and starts again.
//
// A request that takes itself out may have been seen by the drain, which it then wakes like one that
// was served; it never touched the instance. Each round that fails means that a table was stored in
// between, so a claim ends.
func (r *router) claim(ctx context.Context, host string, tried []*upstream) (*upstream, error) {
	for {
		t := r.table.Load()
		if t == nil {
			if err := r.awaitTable(ctx); err != nil {
				return nil, err
			}
			continue
		}
		e := t.lookup(host)
		if e == nil {
			return nil, errUnknownHost
		}
		u := e.pick(tried)
		if u == nil {
			return nil, &unservedError{app: e.route.App, release: e.route.Release, tried: len(tried)}
		}
		u.inFlight.enter()
		if r.table.Load() == t {
			u.requests.Add(1)
			return u, nil
		}
		u.release()
	}
}

// awaitTable holds a request that came before the router knew any table, which happens when its state
// file was lost: the server is about to tell what is recorded.
func (r *router) awaitTable(ctx context.Context) error {
	patience := time.NewTimer(r.config.tablePatience)
	defer patience.Stop()
	select {
	case <-r.primed:
		return nil
	case <-patience.C:
		return errNoTable
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unservedError says that an app has no instance that takes the request.
type unservedError struct {
	app     deploy.AppName
	release deploy.Number
	tried   int // how many of its instances refused
}

func (e *unservedError) Error() string {
	if e.tried > 0 {
		return "every instance of " + string(e.app) + " refused the connection"
	}
	return string(e.app) + " has no instances"
}
