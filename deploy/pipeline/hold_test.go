package pipeline

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"slipway/deploy"
)

// TestHold: while somebody holds an idle target a push waits and goes on after it; while a deployment is
// in work nobody gets to hold it, and reads whose it is.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.pipeline()
		target := deploy.Target{App: "shop", Environment: deploy.Production}
		held, release := make(chan struct{}), make(chan struct{})
		holder := make(chan error)
		go func() {
			holder <- p.Hold(t.Context(), target, func(context.Context) error {
				close(held)
				<-release
				return errors.New("its own error")
			})
		}()
		<-held
		var out bytes.Buffer
		answer := make(chan deploy.Answer)
		watched, enough := make(chan struct{}), make(chan struct{})
		w.during["watch"] = func() { close(watched); <-enough }
		go func() { answer <- p.Admit(t.Context(), offer(1), &out) }()
		synctest.Wait()
		if len(w.types()) != 1 || len(p.Queue()) != 1 {
			t.Errorf("while it is held: %v, %v", w.types(), p.Queue())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		never := func(context.Context) error { t.Error("it was run"); return nil }
		if err := p.Hold(ctx, target, never); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		close(release)
		if err := <-holder; err == nil || err.Error() != "its own error" {
			t.Errorf("the holder: %v", err)
		}
		<-watched
		err := p.Hold(t.Context(), target, never)
		if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeUnavailable || r.Message != "deployment 1 of shop by alice is in work (monitor, 0.0s)" {
			t.Errorf("in work: %v", err)
		}
		close(enough)
		if a := <-answer; !a.Accepted {
			t.Errorf("%+v\n%s", a, out.String())
		}
		ran := false
		if err := p.Hold(t.Context(), target, func(context.Context) error { ran = true; return nil }); err != nil || !ran {
			t.Errorf("afterwards: %v", err)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
