package pipeline

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"slipway/deploy"
)

// TestNothingIsLeftBehind has one write of a deployment fail, deploys something else, and starts the server
// again: what was left unfinished must not be ended after, and over, what was accepted since.
func TestNothingIsLeftBehind(t *testing.T) {
	good, bad := deploy.WatchResult{Pass: true}, deploy.WatchResult{Reason: "down"}
	for name, c := range map[string]struct {
		verdict deploy.WatchResult
		fails   string
		next    func(*Pipeline) deploy.Answer
		was     deploy.Status // of the deployment whose write failed
	}{
		"a ref that was not moved, then a roll back": {good, "commit ref", backTo(2), deploy.StatusAccepted},
		"a move not recorded, then a roll back":      {good, "record ref.moved", backTo(2), deploy.StatusAccepted},
		"a move not recorded, then a push":           {good, "record ref.moved", push(4), deploy.StatusAccepted},
		"an end not recorded, then a push":           {bad, "record deployment.rejected", push(4), deploy.StatusRejected},
	} {
		t.Run(name, func(t *testing.T) {
			w := settled(t)
			w.verdict = c.verdict
			w.fail[c.fails] = errors.New("no")
			p := w.pipeline()
			push(3)(p)
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			delete(w.fail, c.fails)
			w.verdict = good
			if a := c.next(p); !a.Accepted {
				t.Fatalf("the next deployment: %+v\n%s", a, w.log.String())
			}
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.state.Frozen = "" // as an admin does now
			w.agreesNow(t, "before the next start")
			w.restart(0, false)
			settle(t, w)
			w.agrees(t, "after it")
			if is := w.rows[3].Status; is != c.was {
				t.Errorf("deployment 3 became %s, want %s", is, c.was)
			}
		})
	}
}

func push(n int) func(*Pipeline) deploy.Answer {
	return func(p *Pipeline) deploy.Answer { return p.Admit(context.Background(), offer(n), &bytes.Buffer{}) }
}

func backTo(n deploy.Number) func(*Pipeline) deploy.Answer {
	return func(p *Pipeline) deploy.Answer {
		r := rollback(n)
		r.Caller.Admin = true // past the freeze
		return p.Again(context.Background(), r, &bytes.Buffer{})
	}
}

// TestNothingIsEndedTwice cancels a deployment that waits at the very moment at which the one before it looks
// for what was left unfinished: it has ended by itself.
func TestNothingIsEndedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := settled(t)
		p := w.pipeline()
		built, canceled := make(chan struct{}), make(chan struct{})
		var armed atomic.Bool
		w.during["build"] = func() { <-built }
		w.during["list unfinished"] = func() {
			if armed.CompareAndSwap(true, false) { // 4 has its turn
				w.must(p.Cancel(5, deploy.Actor{Name: "bob"}, ""))
				<-canceled
			}
		}
		go push(3)(p)
		synctest.Wait()
		go push(4)(p)
		synctest.Wait()
		go func() {
			push(5)(p)
			close(canceled)
		}()
		synctest.Wait()
		armed.Store(true)
		close(built)
		<-canceled
		synctest.Wait()
		w.must(p.Wait(t.Context()))
		if w.rows[4].Status != deploy.StatusAccepted || w.rows[5].Status != deploy.StatusCanceled {
			t.Errorf("4 became %s and 5 %s\n%s", w.rows[4].Status, w.rows[5].Status, w.log.String())
		}
	})
}

// TestPutRight lifts a freeze: what it was for is mended first.
func TestPutRight(t *testing.T) {
	w := settled(t)
	w.verdict = deploy.WatchResult{Reason: "down"}
	w.fail["switch 2"] = errors.New("the router is away")
	p := w.pipeline()
	push(3)(p)
	delete(w.fail, "switch 2")
	if w.traffic != 3 || w.state.Frozen == "" {
		t.Fatalf("traffic goes to %d, frozen %q", w.traffic, w.state.Frozen)
	}
	if err := p.PutRight(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	if w.traffic != 2 || w.ref != oid(2) {
		t.Errorf("traffic goes to %d, ref %s", w.traffic, w.ref.Short())
	}
	w.ref = oid(7)
	if err := p.PutRight(t.Context(), shop); err == nil || err.Error() != "refs/heads/main is 0000000, but 0000000 was accepted last" {
		t.Errorf("of a ref that somebody moved it says %v", err)
	}
}

// TestWhatServesIsNotCleared cancels a roll back to a release that an earlier one, which could not be put
// back, has left with the traffic; and kills the server while a roll back waits for one to the same release.
func TestWhatServesIsNotCleared(t *testing.T) {
	w := settled(t)
	w.verdict = deploy.WatchResult{Reason: "down"}
	w.fail["switch 2"] = errors.New("the router is away")
	p := w.pipeline()
	backTo(1)(p)
	w.fail["prepare ref"] = errors.New("no")
	if a := backTo(1)(p); a.Accepted || w.traffic != 1 || !w.started[1] {
		t.Errorf("%+v, traffic goes to %d, running %v", a, w.traffic, w.started)
	}

	w = settled(t)
	p = w.pipeline()
	w.during["watch"] = func() {
		w.during["watch"] = nil
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		go p.Again(ctx, rollback(1), &bytes.Buffer{})
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; n < 10_000 && len(p.Queue()) < 2; n++ {
			<-tick.C
		}
		w.mu.Lock()
		w.dead = true
		w.mu.Unlock()
	}
	w.alive(func() { backTo(1)(p) })
	w.restart(0, false)
	w.stopping = func(_ context.Context, n deploy.Number) error {
		if n == w.traffic {
			t.Errorf("release %d is stopped, and has the traffic", n)
		}
		return nil
	}
	settle(t, w)
	w.stopping = nil
	w.agrees(t, "killed with two roll backs to one release")
}
