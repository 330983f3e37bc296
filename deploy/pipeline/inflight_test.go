package pipeline

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"slipway/deploy"
)

// TestInFlightIsSpared: a deployment that has been accepted prunes neither what a roll back behind it waits
// for, nor its own release or the one before it; and the revision that a redeploy waits to build stays known
// as in flight. When they have ended nothing is.
func TestInFlightIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := settled(t) // 1 was accepted, and 2, which serves
		p := w.pipeline()
		building, built := make(chan struct{}), make(chan struct{})
		w.during["build"] = func() {
			close(building)
			<-built
		}
		var answers [3]deploy.Answer
		ended := make(chan struct{}, len(answers))
		begin := func(i int, work func() deploy.Answer) {
			go func() {
				answers[i] = work()
				ended <- struct{}{}
			}()
			synctest.Wait()
		}
		begin(0, func() deploy.Answer { return p.Admit(t.Context(), offer(3), &bytes.Buffer{}) })
		<-building
		begin(1, func() deploy.Answer { return p.Again(t.Context(), rollback(1), io.Discard) })
		redeploy := rollback(2)
		redeploy.Again.Kind = deploy.AgainRedeploy
		ctx, leave := context.WithCancel(t.Context())
		begin(2, func() deploy.Answer { return p.Again(ctx, redeploy, io.Discard) })

		for n := range deploy.Number(7) { // 3 is built, 4 and 5 wait for it
			if want := n >= 1 && n <= 5; p.InFlight(n) != want {
				t.Errorf("deployment %d is in flight: %v", n, !want)
			}
		}
		leave()
		synctest.Wait()
		if p.InFlight(2) || p.InFlight(5) {
			t.Error("what was canceled is in flight")
		}
		delete(w.during, "build")
		w.spared = nil
		close(built)
		<-ended
		<-ended
		<-ended
		if !answers[0].Accepted || !answers[1].Accepted || answers[2].Accepted {
			t.Fatalf("%+v", answers)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.spared) != 2 {
			t.Fatalf("pruned %d times", len(w.spared))
		}
		for _, n := range []deploy.Number{1, 2, 3} {
			if !slices.Contains(w.spared[0], n) {
				t.Errorf("when 3 was accepted, release %d could have been pruned: %d were spared", n, w.spared[0])
			}
		}
		for n := range deploy.Number(7) {
			if p.InFlight(n) {
				t.Errorf("%d is in flight", n)
			}
		}
	})
}
