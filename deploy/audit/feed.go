package audit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"slipway/deploy"
)

// ErrSlow says that a feed's reader did not keep up with the events. Nothing is lost: it can subscribe
// again from [Feed.Next].
var ErrSlow = errors.New("the reader of the feed is too slow")

// feedLength is how many events a feed keeps for a reader that is behind.
const feedLength = 256

// Feed hands recorded events to one reader, in order and without gaps.
type Feed struct {
	// C carries the events. It is closed when the feed ends; Err then says why.
	C <-chan deploy.Event

	events chan deploy.Event // what C reads from
	live   chan deploy.Event // what the recorder writes to; closed when the reader is too slow
	next   atomic.Uint64
	err    error // set before events is closed
}

// Err says why C was closed: [ErrSlow], the context's error, or what stopped the reading of older
// events. It may be called once C is closed.
func (f *Feed) Err() error { return f.err }

// Next is the sequence of the event after the one that was received last: where to subscribe again.
func (f *Feed) Next() uint64 { return f.next.Load() }

// Subscribe follows the events from the given sequence on, those already recorded first; from zero
// means from now on. The feed ends with ctx, and with [ErrSlow] when its reader falls so far behind
// that it would hold up others. A goroutine serves it until then.
func (r *Recorder) Subscribe(ctx context.Context, from uint64) *Feed {
	if from == 0 {
		from = r.log.Head().Sequence + 1
	}
	events := make(chan deploy.Event)
	f := &Feed{C: events, events: events, live: make(chan deploy.Event, feedLength)}
	f.next.Store(from)
	go r.serve(ctx, f)
	return f
}

func (r *Recorder) serve(ctx context.Context, f *Feed) {
	defer close(f.events)
	defer r.feeds.remove(f)
	if f.err = r.replay(ctx, f); f.err != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			f.err = ctx.Err()
			return
		case e, ok := <-f.live:
			if !ok {
				f.err = ErrSlow
				return
			}
			if f.err = f.send(ctx, e); f.err != nil {
				return
			}
		}
	}
}

// replay sends what was recorded before, and then has the feed take part in what comes.
func (r *Recorder) replay(ctx context.Context, f *Feed) error {
	for !r.feeds.add(f) {
		for e, err := range r.log.Events(f.Next()) {
			if err != nil {
				return err
			}
			if err := f.send(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// send passes over an event that the reader has already had from the log.
func (f *Feed) send(ctx context.Context, e deploy.Event) error {
	if e.Sequence < f.Next() {
		return nil
	}
	select {
	case f.events <- e:
		f.next.Store(e.Sequence + 1)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// feeds are the feeds that are up to date.
type feeds struct {
	mu   sync.Mutex
	last uint64 // the sequence published last
	open map[*Feed]struct{}
}

// add takes f in if it has had every event that was published; it returns false if not.
func (s *feeds) add(f *Feed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Next() <= s.last {
		return false
	}
	s.open[f] = struct{}{}
	return true
}

func (s *feeds) remove(f *Feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, f)
}

// publish hands e to every feed and waits for none.
func (s *feeds) publish(e deploy.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = e.Sequence
	for f := range s.open {
		select {
		case f.live <- e:
		default:
			close(f.live)
			delete(s.open, f)
		}
	}
}
