package gitserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"slipway/deploy"
)

// Failed sign-ins are all recorded, and a flood of them must not fill the disk: the first of an address is
// an event of its own at once, and those that follow in each minute are one event together. While more
// than sourcesAtMost addresses fail, the others' are one event a minute for all of them.
const (
	failuresEvery = time.Minute
	sourcesAtMost = 30
)

// failures counts failed sign-ins by where they come from.
type failures struct {
	mu      sync.Mutex
	sources map[string]*failure
	others  failure // of addresses beyond sourcesAtMost
}

// failure is failed sign-ins that are to be recorded together.
type failure struct {
	ip    string // empty for those of several addresses
	key   string // the one that was offered last
	since time.Time
	more  int // after the first; zero for one alone
}

// add counts a failed sign-in. It tells whether it is to be recorded now, by itself.
func (f *failures) add(ip, key string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	source := f.sources[ip]
	switch {
	case source == nil && len(f.sources) < sourcesAtMost:
		if f.sources == nil {
			f.sources = map[string]*failure{}
		}
		f.sources[ip] = &failure{ip: ip, since: now}
		return true
	case source == nil:
		source = &f.others
		if source.more == 0 {
			source.since = now
		}
	}
	source.more++
	source.key = key
	return false
}

// due takes out what is to be recorded now: what is a minute old, or everything at the end.
func (f *failures) due(now time.Time, end bool) []failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []failure
	for ip, source := range f.sources {
		if !end && now.Sub(source.since) < failuresEvery {
			continue
		}
		if source.more == 0 {
			delete(f.sources, ip)
			continue
		}
		all = append(all, *source)
		source.since, source.more = now, 0
	}
	if f.others.more > 0 && (end || now.Sub(f.others.since) >= failuresEvery) {
		all = append(all, f.others)
		f.others = failure{}
	}
	return all
}

// countFailures begins to record what is counted; the function returned ends that.
func (s *Server) countFailures(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.recordFailures(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// recordFailures records what has been counted until ctx ends, and then the rest.
func (s *Server) recordFailures(ctx context.Context) {
	tick := time.NewTicker(failuresEvery / 4)
	defer tick.Stop()
	for {
		end := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			end = true
		}
		for _, f := range s.failures.due(time.Now(), end) {
			s.recordFailure(ctx, f)
		}
		if end {
			return
		}
	}
}

func (s *Server) recordFailure(ctx context.Context, f failure) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	e := deploy.Event{
		Type: deploy.EventSignInFailed, Actor: deploy.Actor{Type: deploy.ActorUser, Key: f.key, IP: f.ip, Origin: "ssh"},
		Reason: "the key is not registered",
	}
	if f.more > 0 {
		e.Reason = fmt.Sprintf("the key is not registered; %d times more", f.more)
		e = e.WithData(deploy.SignInData{Count: f.more, Since: f.since.UTC()})
	}
	if err := s.config.Recorder.Record(ctx, e); err != nil {
		s.logger.Error("recording a failed sign-in", "ip", f.ip, "key", f.key, "error", err)
	}
}
