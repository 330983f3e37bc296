package deploy

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// FailedSignIns puts failed sign-ins together, so that all of them are recorded and a flood of them does not
// fill the disk: the first of an address is an event of its own at once, and those that follow in each
// minute are one event together. While more than 30 addresses fail, the others' are one event a minute for
// all of them, which needs [FailedSignIns.Run]. The zero value is ready; it is safe for concurrent use.
type FailedSignIns struct {
	mu      sync.Mutex
	sources map[string]*failedSignIns
	others  failedSignIns // of addresses beyond sourcesAtMost
}

const (
	failuresEvery = time.Minute
	sourcesAtMost = 30
	dueInterval   = failuresEvery / 4 // how often Run looks what is due
)

// failedSignIns are to be recorded together.
type failedSignIns struct {
	actor Actor // of the last one; without an address for those of several
	since time.Time
	more  int // after the first
}

// Add counts a failed sign-in. It returns the event of one that is to be recorded now, by itself.
func (f *FailedSignIns) Add(who Actor, reason string, now time.Time) (e Event, alone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	source := f.sources[who.IP]
	switch {
	case source == nil && len(f.sources) < sourcesAtMost:
		if f.sources == nil {
			f.sources = map[string]*failedSignIns{}
		}
		f.sources[who.IP] = &failedSignIns{actor: who, since: now}
		return Event{Type: EventSignInFailed, Actor: who, Reason: reason}, true
	case source == nil:
		source = &f.others
		if source.more == 0 {
			source.since = now
		}
		who.IP = ""
	}
	source.more++
	source.actor = who
	return Event{}, false
}

// Run hands what is due to record, one event after the other, until ctx ends, and then the rest. The context
// that record gets does not end with ctx.
func (f *FailedSignIns) Run(ctx context.Context, record func(context.Context, Event)) {
	tick := time.NewTicker(dueInterval)
	defer tick.Stop()
	for end := false; !end; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			end = true
		}
		for _, e := range f.Due(time.Now(), end) {
			record(context.WithoutCancel(ctx), e)
		}
	}
}

// Due takes out the events that are to be recorded now: of what is a minute old, or of everything at the
// end.
func (f *FailedSignIns) Due(now time.Time, end bool) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Event
	for ip, source := range f.sources {
		if !end && now.Sub(source.since) < failuresEvery {
			continue
		}
		if source.more == 0 {
			delete(f.sources, ip)
			continue
		}
		all = append(all, source.event())
		source.since, source.more = now, 0
	}
	if f.others.more > 0 && (end || now.Sub(f.others.since) >= failuresEvery) {
		all = append(all, f.others.event())
		f.others = failedSignIns{}
	}
	return all
}

func (f failedSignIns) event() Event {
	return Event{Type: EventSignInFailed, Actor: f.actor, Reason: fmt.Sprintf("%d more failed sign-ins", f.more)}.
		WithData(SignInData{Count: f.more, Since: f.since.UTC()})
}
