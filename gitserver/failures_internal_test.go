package gitserver

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"slipway/deploy"
)

// recorded keeps events.
type recorded struct {
	mu     sync.Mutex
	events []deploy.Event
}

func (r *recorded) Record(_ context.Context, e deploy.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return nil
}

// TestFailuresAreAllCounted: however many sign-ins fail, a few events a minute tell of all of them.
func TestFailuresAreAllCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &recorded{}
		s := New(Config{Recorder: log, Logger: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.recordFailures(ctx); close(done) }()
		fail := func(ip, key string) {
			if s.failures.add(ip, key, time.Now()) {
				s.recordFailure(ctx, failure{ip: ip, key: key})
			}
		}
		const flood = 10_000
		fail("192.0.2.1", "SHA256:once")
		for i := range flood { // in ten minutes, one address, many keys
			fail("192.0.2.2", fmt.Sprint("SHA256:", i))
			<-time.After(10 * time.Minute / flood)
		}
		for i := range flood { // in ten minutes, each from another address
			fail(fmt.Sprint("2001:db8::", i), "SHA256:x")
			<-time.After(10 * time.Minute / flood)
		}
		stop()
		<-done
		told := 0
		for _, e := range log.events {
			if e.Data == nil {
				told++
			} else {
				told += countOf(t, e)
			}
		}
		if told != 2*flood+1 {
			t.Errorf("%d failures are told of, and there were %d", told, 2*flood+1)
		}
		if n := len(log.events); n > 10*2*(sourcesAtMost+2) {
			t.Errorf("%d events", n)
		}
		once := slices.IndexFunc(log.events, func(e deploy.Event) bool { return e.Actor.Key == "SHA256:once" })
		if once < 0 || log.events[once].Data != nil || strings.Contains(log.events[once].Reason, "more") {
			t.Errorf("the one that failed once is told of as %+v", log.events)
		}
	})
}

func countOf(t *testing.T, e deploy.Event) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(string(e.Data), `{"count":%d,`, &n); err != nil {
		t.Fatalf("%s: %v", e.Data, err)
	}
	return n
}
