package traffic

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
)

// predecessor is a router that has handed over and still serves the connections it has.
type predecessor struct {
	id     string
	client *Client
}

// predecessorPatience bounds a question to a predecessor that should answer at once.
const predecessorPatience = 5 * time.Second

// findPredecessors looks for every router that has handed over and still lives, whoever it handed
// over to, and removes the sockets of those that do not.
func (r *router) findPredecessors(ctx context.Context) error {
	sockets, err := siblings(r.config.Socket, leavingSuffix)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, socket := range sockets {
		client := newClient(socket, 0)
		ctx, cancel := context.WithTimeout(ctx, predecessorPatience)
		_, err := client.Health(ctx)
		cancel()
		if isAbsent(err) {
			_ = os.Remove(socket) // a dead router's; harmless if it stays
			continue
		}
		_, id, _ := strings.Cut(socket, leavingSuffix)
		r.older = append(r.older, &predecessor{id: id, client: client})
	}
	return nil
}

func (r *router) predecessors() []*predecessor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*predecessor(nil), r.older...)
}

// tellPredecessors puts the table in force in routers that have handed over. One that cannot be told
// is given up: it is gone, or hangs, and then its requests hang too. That whoever asked for the change
// has gone meanwhile is no reason.
func (r *router) tellPredecessors(routes []Route) {
	for _, p := range r.predecessors() {
		ctx, cancel := context.WithTimeout(context.Background(), predecessorPatience)
		err := p.client.call(ctx, "PUT", "/obey", routes, nil)
		cancel()
		if err == nil {
			continue
		}
		if !isAbsent(err) {
			r.log.Error("a router that handed over does not follow a switch", "router", p.id, "error", err)
		}
		r.mu.Lock()
		r.older = slices.DeleteFunc(slices.Clone(r.older), func(o *predecessor) bool { return o == p })
		r.mu.Unlock()
	}
}

func (r *router) stopPredecessors() {
	for _, p := range r.predecessors() {
		ctx, cancel := context.WithTimeout(context.Background(), predecessorPatience)
		if err := p.client.call(ctx, "POST", "/stop", nil, nil); err != nil && !isAbsent(err) {
			r.log.Warn("a router that handed over does not stop", "router", p.id, "error", err)
		}
		cancel()
	}
}

// drain returns how many requests were left in flight when ctx ended. A router that is gone has none.
func (p *predecessor) drain(ctx context.Context, app deploy.AppName, release deploy.Number) (int64, error) {
	timeout := time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), 0)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout+predecessorPatience)
	defer cancel()
	var answer drainAnswer
	err := p.client.call(ctx, "POST", "/drain", drainRequest{App: app, Release: release, Timeout: timeout}, &answer)
	if isAbsent(err) || isBroken(err) {
		return 0, nil
	}
	return answer.InFlight, err
}

// counts returns what the predecessor counted; nothing if it is gone or never had the instance.
func (p *predecessor) counts(ctx context.Context, instance deploy.Instance) deploy.TrafficCounts {
	ctx, cancel := context.WithTimeout(ctx, predecessorPatience)
	defer cancel()
	c, err := p.client.Counts(ctx, instance)
	if err != nil {
		return deploy.TrafficCounts{}
	}
	return c
}

// farewell is a predecessor's last word.
type farewell struct {
	Router string          `json:"router"`
	Counts []countedBefore `json:"counts"`
}

type countedBefore struct {
	Instance deploy.Instance      `json:"instance"`
	Counts   deploy.TrafficCounts `json:"counts"`
}

// sayFarewell hands what was counted here to the router that serves now. All requests have ended, but
// the claim of an upgraded connection ends a little later.
func (r *router) sayFarewell() {
	ctx, cancel := context.WithTimeout(context.Background(), predecessorPatience)
	defer cancel()
	f := farewell{Router: r.id}
	r.mu.Lock()
	for instance, u := range r.upstreams {
		_ = u.inFlight.wait(ctx) // what does not end is not counted
		if c := u.counts(); c.Requests > 0 {
			f.Counts = append(f.Counts, countedBefore{Instance: instance, Counts: c})
		}
	}
	r.mu.Unlock()
	// The successor may be handing over itself, or be taking the socket's name at this moment.
	if err := newClient(r.config.Socket, predecessorPatience).call(ctx, "POST", "/farewell", f, nil); err != nil {
		r.log.Warn("what was counted is lost", "error", err)
	}
}

// heed takes over what a predecessor has counted. Whoever asks for counts finds them once: in the
// predecessor before, here afterwards.
func (r *router) heed(f farewell) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isLeaving() {
		return errMoved
	}
	for i, p := range r.older {
		if p.id != f.Router {
			continue
		}
		r.older = append(r.older[:i:i], r.older[i+1:]...)
		for _, c := range f.Counts {
			if u := r.upstreams[c.Instance]; u != nil {
				u.add(c.Counts)
			}
		}
		return nil
	}
	return fmt.Errorf("router %s: %w", f.Router, deploy.ErrNotFound)
}
