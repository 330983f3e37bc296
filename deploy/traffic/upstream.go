package traffic

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"slipway/deploy"
)

// upstream is an instance as the router sees it: its connections, and what was passed to it. It
// outlives the tables that name it, so its counts go on when a switch takes it away and brings it
// back.
type upstream struct {
	instance  deploy.Instance
	transport *http.Transport // its own, so that its idle connections can be closed when it goes

	inFlight  gauge
	requests  atomic.Int64
	byClass   [6]atomic.Int64
	latencies ring

	refusedAt atomic.Int64 // Unix nanoseconds; 0 for never
	loggedAt  atomic.Int64 // likewise

	retired   atomic.Bool // no table names it
	retiredIn uint64      // the change that retired it; under router.mu
}

func newUpstream(instance deploy.Instance) *upstream {
	return &upstream{instance: instance, transport: newTransport()}
}

// newTransport is tuned for one app on this machine: many connections kept, but idle for less than the
// shortest time after which app servers close them (2 s in gunicorn, 5 s in Node.js and uvicorn). A POST
// is lost if a connection is closed in the moment of its reuse, and a new one costs next to nothing.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, &dialError{err}
			}
			return conn, nil
		},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        1500 * time.Millisecond,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}
}

// dialError says that there was no connection, so that no byte of a request can have been sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// leave ends the claim of one request, whose answer was of the given class.
func (u *upstream) leave(class int) {
	u.byClass[class].Add(1)
	u.release()
}

// release ends a claim without counting it.
func (u *upstream) release() {
	if u.inFlight.leave() && u.retired.Load() {
		u.transport.CloseIdleConnections()
	}
}

// retire is for an upstream that no table names any more.
func (u *upstream) retire(change uint64) {
	u.retiredIn = change
	u.retired.Store(true)
	u.transport.CloseIdleConnections()
}

func (u *upstream) refused() { u.refusedAt.Store(time.Now().UnixNano()) }

func (u *upstream) refusedLately() bool {
	at := u.refusedAt.Load()
	return at != 0 && time.Now().UnixNano()-at < int64(refusedFor)
}

// mayLog is true every ten seconds, so that a dead instance under load does not fill the disk.
func (u *upstream) mayLog() bool {
	now, last := time.Now().UnixNano(), u.loggedAt.Load()
	return now-last >= int64(10*time.Second) && u.loggedAt.CompareAndSwap(last, now)
}

func (u *upstream) counts() deploy.TrafficCounts {
	c := deploy.TrafficCounts{InFlight: u.inFlight.now(), Requests: u.requests.Load(), Latencies: u.latencies.list()}
	for i := range u.byClass {
		c.ByClass[i] = u.byClass[i].Load()
	}
	return c
}

// add counts in what another router passed to the same instance.
func (u *upstream) add(c deploy.TrafficCounts) {
	u.requests.Add(c.Requests)
	for i, n := range c.ByClass {
		u.byClass[i].Add(n)
	}
	for _, d := range c.Latencies {
		u.latencies.add(d)
	}
}

// sum adds what two routers counted.
func sum(a, b deploy.TrafficCounts) deploy.TrafficCounts {
	a.Requests += b.Requests
	a.InFlight += b.InFlight
	for i := range a.ByClass {
		a.ByClass[i] += b.ByClass[i]
	}
	a.Latencies = append(a.Latencies, b.Latencies...)
	a.Latencies = a.Latencies[:min(len(a.Latencies), ringSize)]
	return a
}

const ringSize = 1000

// ring holds the newest durations, without locks. A reader may miss one that is just being written.
type ring struct {
	next atomic.Uint64
	slot [ringSize]atomic.Int64 // 0: nothing yet
}

func (r *ring) add(d time.Duration) {
	i := r.next.Add(1) - 1
	r.slot[i%ringSize].Store(max(int64(d), 1))
}

func (r *ring) list() []time.Duration {
	list := make([]time.Duration, 0, min(r.next.Load(), ringSize))
	for i := range r.slot {
		if d := r.slot[i].Load(); d != 0 {
			list = append(list, time.Duration(d))
		}
	}
	return list
}
