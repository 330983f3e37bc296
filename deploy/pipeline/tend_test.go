package pipeline

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestTend: a release that was killed with its keepers is started again, unless its target is frozen.
func TestTend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.pipeline()
		if a := p.Admit(t.Context(), offer(1), &bytes.Buffer{}); !a.Accepted {
			t.Fatal("not accepted")
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = p.Tend(ctx) }()
		runs := func(want bool) {
			t.Helper()
			<-time.After(2 * tendInterval)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.started[1] != want {
				t.Errorf("started: %t, want %t", w.started[1], want)
			}
		}
		kill := func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.started, 1)
		}
		kill()
		runs(true)
		w.mu.Lock()
		w.state.Frozen = "somebody looks at it"
		w.mu.Unlock()
		kill()
		runs(false)
	})
}
