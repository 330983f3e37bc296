package gitserver

import (
	"io"
	"sync"
	"time"
)

// drain takes what a git writes for its client, and never stops taking it: a git that cannot write
// waits for ever, with everything that waits for it. While the client reads, it gets everything. A
// client that has gone, or that reads nothing for a while with the buffer full, is lost: then the rest
// goes nowhere, and lost is called, once, with the reason.
type drain struct {
	w     io.Writer
	stall time.Duration
	lost  func(error)

	mu      sync.Mutex
	changed *sync.Cond
	waiting []byte
	closed  bool
	gone    bool
	idle    *time.Timer // runs while somebody waits for the client
	over    chan struct{}
	once    sync.Once // closes over
}

// maxWaiting is how much is kept for a client that does not read for now.
const maxWaiting = 4 << 20

func newDrain(w io.Writer, stall time.Duration, lost func(error)) *drain {
	d := &drain{w: w, stall: stall, lost: lost, over: make(chan struct{})}
	d.changed = sync.NewCond(&d.mu)
	d.idle = time.AfterFunc(stall, func() { d.giveUp(errClientStalled) })
	d.idle.Stop()
	go d.pump()
	return d
}

// Write implements [io.Writer]. It never fails.
func (d *drain) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting)+len(p) > maxWaiting && len(d.waiting) > 0 && !d.gone {
		d.idle.Reset(d.stall)
		for len(d.waiting) > 0 && len(d.waiting)+len(p) > maxWaiting && !d.gone {
			d.changed.Wait()
		}
		d.idle.Stop()
	}
	if !d.gone {
		d.waiting = append(d.waiting, p...)
		d.changed.Broadcast()
	}
	return len(p), nil
}

// pump writes to the client.
func (d *drain) pump() {
	var chunk []byte
	for {
		d.mu.Lock()
		for len(d.waiting) == 0 && !d.closed && !d.gone {
			d.changed.Wait()
		}
		if d.gone || len(d.waiting) == 0 {
			d.mu.Unlock()
			d.once.Do(func() { close(d.over) })
			return
		}
		chunk, d.waiting = d.waiting, chunk[:0]
		d.changed.Broadcast()
		d.mu.Unlock()
		if !d.pass(chunk) {
			d.giveUp(errClientGone)
			return
		}
	}
}

// pass writes in parts, each of which is a sign of life.
func (d *drain) pass(chunk []byte) bool {
	for len(chunk) > 0 {
		n := min(len(chunk), 32<<10)
		if _, err := d.w.Write(chunk[:n]); err != nil {
			return false
		}
		chunk = chunk[n:]
		d.mu.Lock()
		if d.idle.Stop() { // it ran
			d.idle.Reset(d.stall)
		}
		gone := d.gone
		d.mu.Unlock()
		if gone {
			return false
		}
	}
	return true
}

// giveUp lets everything that comes go nowhere.
func (d *drain) giveUp(why error) {
	d.mu.Lock()
	first := !d.gone
	d.gone = true
	d.waiting = nil
	d.changed.Broadcast()
	d.mu.Unlock()
	if first {
		d.lost(why)
		d.once.Do(func() { close(d.over) })
	}
}

// isGone tells whether the client is lost.
func (d *drain) isGone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// finish waits until the client has everything, or is lost.
func (d *drain) finish() {
	d.mu.Lock()
	d.closed = true
	d.idle.Reset(d.stall)
	d.changed.Broadcast()
	d.mu.Unlock()
	<-d.over
	d.idle.Stop()
}
