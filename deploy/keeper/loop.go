package keeper

import (
	"context"
	"sync"
	"syscall"
	"time"
)

// keeper is the state of Run. Its loop owns everything but what stands below mu.
type keeper struct {
	cfg   Config
	start func(ctx context.Context) (*child, error)

	child      *child
	intent     intent        // why the child is being ended
	killAt     time.Time     // when it is killed; zero if it was not asked to end
	killTimer  *time.Timer   // runs between TERM and KILL
	startTimer *time.Timer   // runs while a start is waited for
	pause      time.Duration // before the next start that nobody asked for
	unasked    bool          // the child ended by itself, so its next start is a restart
	stopped    bool

	requests chan request
	finished chan struct{} // closed when the loop has returned
	unsynced chan struct{} // holds one element if the state file is newer than the disk

	mu      sync.Mutex
	status  Status
	changed chan struct{} // closed and replaced when status changes
}

// child is a started process.
type child struct {
	process   Process
	startedAt time.Time
	ended     chan string // gets how it ended, when all it said is in the log
}

// intent is what follows a child's end.
type intent int

const (
	keepOn  intent = iota // it ended by itself
	restart               // it was asked to, to be started again
	stop                  // it was asked to, for good
)

// request asks the loop for something; what came of it shows in the status.
type request struct {
	intent intent // keepOn ends the trial
	grace  time.Duration
}

// loop starts the child and attends to it until it has been stopped for good.
func (k *keeper) loop(ctx context.Context) {
	defer close(k.finished)
	gone := ctx.Done()
	ctx = context.WithoutCancel(ctx) // the child is ended by TERM and KILL, in this order
	k.begin(ctx)
	for !k.stopped {
		select {
		case <-gone:
			gone = nil
			k.handle(request{intent: stop, grace: k.cfg.Grace})
		case r := <-k.requests:
			k.handle(r)
		case how := <-k.childEnded():
			k.child = nil
			k.reap(how)
		case <-tick(k.killTimer):
			k.killTimer = nil
			k.killChild()
		case <-tick(k.startTimer):
			k.startTimer = nil
			k.begin(ctx)
		}
	}
}

func tick(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

func (k *keeper) childEnded() <-chan string {
	if k.child == nil {
		return nil
	}
	return k.child.ended
}

// begin starts the child.
func (k *keeper) begin(ctx context.Context) {
	k.intent, k.killAt = keepOn, time.Time{}
	c, err := k.start(ctx)
	k.update(func(s *Status) {
		s.Starts++
		if k.unasked {
			s.Restarts++
		}
		s.Ended, s.StartedAt = false, time.Now()
		if err != nil {
			return
		}
		s.StartedAt, s.Running = c.startedAt, true
		s.Child, _ = Identify(c.process.PID()) // one that has ended already has none
	})
	k.unasked = false
	if err != nil {
		k.reap(NotStarted + err.Error())
		return
	}
	k.child = c
}

// reap records how the child ended and decides what comes next.
func (k *keeper) reap(how string) {
	if k.killTimer != nil {
		k.killTimer.Stop()
		k.killTimer = nil
	}
	status := k.snapshot()
	k.cfg.Logger.Info("child ended", "how", how, "asked", k.intent != keepOn, "ran", time.Since(status.StartedAt).Round(time.Millisecond))
	trimOwnLog(k.cfg.Dir, k.cfg.LogBytes)
	if time.Since(status.StartedAt) >= k.cfg.Backoff.Reset {
		k.pause = k.cfg.Backoff.First
	}
	switch k.intent {
	case stop:
		k.stopped = true
	case restart:
		k.startSoon(0)
	case keepOn:
		k.unasked = true
		if !status.Trial {
			k.startAgain()
		}
	}
	k.update(func(s *Status) {
		s.Running, s.LastExit = false, how
		s.Stopped, s.Ended = k.stopped, k.intent == keepOn && s.Trial
	})
}

// startAgain starts the child after the pause whose turn it is.
func (k *keeper) startAgain() {
	k.startSoon(k.pause)
	k.pause = min(2*k.pause, k.cfg.Backoff.Max)
}

func (k *keeper) startSoon(pause time.Duration) {
	if k.startTimer != nil {
		k.startTimer.Stop()
	}
	k.startTimer = time.NewTimer(pause)
}

func (k *keeper) handle(r request) {
	switch {
	case r.intent == keepOn:
		ended := k.snapshot().Ended
		k.update(func(s *Status) { s.Trial, s.Ended = false, false })
		if ended {
			k.startAgain()
		}
	case k.child != nil:
		k.end(r)
	case r.intent == stop:
		k.stopped = true
		k.update(func(s *Status) { s.Stopped, s.Ended = true, false })
	default:
		k.unasked, k.pause = false, k.cfg.Backoff.First
		k.startSoon(0)
	}
}

// end asks the child to end, and sets when it is killed. A later request can bring that forward, and
// a stop wins over a restart.
func (k *keeper) end(r request) {
	k.intent = max(k.intent, r.intent)
	if k.intent == stop {
		k.update(func(s *Status) { s.Stopping = true })
	}
	first := k.killAt.IsZero()
	at := time.Now().Add(r.grace)
	if !first && !at.Before(k.killAt) {
		return
	}
	k.killAt = at
	if k.killTimer != nil {
		k.killTimer.Stop()
		k.killTimer = nil
	}
	if r.grace <= 0 {
		k.killChild()
		return
	}
	if first {
		if err := k.child.process.Signal(syscall.SIGTERM); err != nil {
			k.cfg.Logger.Warn("asking the child to end", "err", err)
		}
	}
	k.killTimer = time.NewTimer(r.grace)
}

func (k *keeper) killChild() {
	if err := k.child.process.Kill(); err != nil {
		k.cfg.Logger.Warn("killing the child", "err", err)
	}
}

// update changes the status, on record too, and wakes those who wait for it.
func (k *keeper) update(change func(*Status)) {
	k.mu.Lock()
	change(&k.status)
	status := k.status
	k.mu.Unlock()
	// The record comes first, so that whoever hears of it can read it.
	if err := writeStatus(k.cfg.Dir, status); err != nil {
		k.cfg.Logger.Warn("the keeper's state is not on record", "err", err)
	}
	select {
	case k.unsynced <- struct{}{}:
	default: // it is going to be synced, or nobody does it
	}
	k.mu.Lock()
	close(k.changed)
	k.changed = make(chan struct{})
	k.mu.Unlock()
}

func (k *keeper) snapshot() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// await returns the status once it is as wanted. It gives up when ctx ends or the loop has returned.
func (k *keeper) await(ctx context.Context, wanted func(Status) bool) (Status, error) {
	for {
		k.mu.Lock()
		status, changed := k.status, k.changed
		k.mu.Unlock()
		if wanted(status) {
			return status, nil
		}
		select {
		case <-changed:
		case <-k.finished:
			return k.snapshot(), nil
		case <-ctx.Done():
			return status, ctx.Err()
		}
	}
}

// ask gives the loop a request, unless it has returned.
func (k *keeper) ask(ctx context.Context, r request) error {
	select {
	case k.requests <- r:
		return nil
	case <-k.finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
