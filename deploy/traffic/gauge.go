package traffic

import (
	"context"
	"sync"
	"sync/atomic"
)

// gauge counts what is going on at the moment, and tells when nothing is. Entering and leaving cost
// one atomic addition each. The zero gauge is ready for use; its methods are safe for concurrent use.
type gauge struct {
	n       atomic.Int64
	waiters atomic.Int64

	mu   sync.Mutex
	zero chan struct{} // closed by a leave that reaches zero; nil while nobody has asked for it
}

func (g *gauge) now() int64 { return g.n.Load() }

func (g *gauge) enter() { g.n.Add(1) }

// leave tells whether nothing is left. Either it sees the waiter, or the waiter, which registers
// before it looks at n, sees zero: Go's atomics have one order that all goroutines agree on.
func (g *gauge) leave() bool {
	if g.n.Add(-1) != 0 {
		return false
	}
	if g.waiters.Load() > 0 {
		g.wake()
	}
	return true
}

func (g *gauge) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.zero != nil {
		close(g.zero)
		g.zero = nil
	}
}

func (g *gauge) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.zero == nil {
		g.zero = make(chan struct{})
	}
	return g.zero
}

// wait blocks until the gauge is at zero, or returns ctx's error. It does not take a wake's word: that
// can come from a leave that reached zero before others entered again.
func (g *gauge) wait(ctx context.Context) error {
	g.waiters.Add(1)
	defer g.waiters.Add(-1)
	for {
		zero := g.next()
		if g.n.Load() == 0 {
			return nil
		}
		select {
		case <-zero:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
