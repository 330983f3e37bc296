package gitserver

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// progress takes what a gate prints for a pusher and does not keep the gate waiting for one who has
// stopped reading: whoever prints holds a queue in which others wait. A pusher who reads slowly is waited
// for as long as something gets through. For one to whom nothing gets through, the older half of what
// waits is left out, with a line that says so; the whole of it is in the logs.
type progress struct {
	w        io.Writer
	patience time.Duration

	mu      sync.Mutex
	changed *sync.Cond
	waiting []byte
	passed  int  // parts that got through
	stalled bool // nothing has got through for the time of patience
	closed  bool
	over    chan struct{}
}

const (
	maxProgress      = 1 << 20  // bytes that are kept
	progressPart     = 32 << 10 // bytes that get through at a time
	progressPatience = time.Second
)

// leftOut stands where something was left out, which may be in the middle of a line.
const leftOut = "\nslipway: lines were left out here, because they came faster than they were read\n"

func newProgress(w io.Writer, patience time.Duration) *progress {
	p := &progress{w: w, patience: patience, over: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	go p.pump()
	return p
}

// Write implements [io.Writer]. It never fails.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitRoom(len(b))
	p.waiting = append(p.waiting, b...)
	if len(p.waiting) > maxProgress {
		p.waiting = shortened(p.waiting)
	}
	p.changed.Broadcast()
	return len(b), nil
}

// awaitRoom waits for n bytes of room while something gets through.
func (p *progress) awaitRoom(n int) {
	for len(p.waiting) > 0 && len(p.waiting)+n > maxProgress && !p.stalled {
		seen := p.passed
		timer := time.AfterFunc(p.patience, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.stalled = p.stalled || p.passed == seen
			p.changed.Broadcast()
		})
		for len(p.waiting) > 0 && len(p.waiting)+n > maxProgress && !p.stalled && p.passed == seen {
			p.changed.Wait()
		}
		timer.Stop()
	}
}

// shortened keeps the newer half, from the beginning of a line.
func shortened(b []byte) []byte {
	rest := b[len(b)-maxProgress/2:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[i+1:]
	}
	return append([]byte(leftOut), rest...)
}

func (p *progress) pump() {
	defer close(p.over)
	for {
		p.mu.Lock()
		for len(p.waiting) == 0 && !p.closed {
			p.changed.Wait()
		}
		n := min(len(p.waiting), progressPart)
		part := p.waiting[:n:n]
		p.waiting = p.waiting[n:]
		p.mu.Unlock()
		if n == 0 {
			return
		}
		_, _ = p.w.Write(part) // nobody may be reading any more
		p.mu.Lock()
		p.passed++
		p.stalled = false
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

// finish waits until everything has been passed on.
func (p *progress) finish() {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	<-p.over
}
