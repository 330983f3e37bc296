package pipeline

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slipway/deploy"
)

func rollback(n deploy.Number) deploy.AgainRequest {
	return deploy.AgainRequest{
		App: shop, Again: deploy.Again{Kind: deploy.AgainRollback, Of: n, Reason: "it is slow"}, Caller: deploy.Pusher{User: "olga", Admin: true},
	}
}

// TestAgain: going back by hand moves the ref with production, and what was rolled back can be deployed
// again, both by hand and by a push.
func TestAgain(t *testing.T) {
	w := settled(t)
	p := w.pipeline()
	ask := func(r deploy.AgainRequest) (deploy.Answer, string) {
		t.Helper()
		var out bytes.Buffer
		a := p.Again(t.Context(), r, &out)
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		return a, out.String()
	}
	stands := func(release deploy.Number, rev deploy.OID) {
		t.Helper()
		if w.traffic != release || w.current != release || w.ref != rev || w.state.Serving != release || len(w.started) != 1 || !w.started[release] {
			t.Errorf("traffic %d, current %d, recorded %d, ref %s, running %v; want release %d", w.traffic, w.current, w.state.Serving, w.ref, w.started, release)
		}
	}

	a, out := ask(rollback(1))
	if !a.Accepted {
		t.Fatalf("%+v\n%s", a, out)
	}
	wantLines(t, out, "olga  roll back to 1", "✓ switch", "✓ monitor", "accepted:")
	stands(1, oid(1))

	a, out = ask(rollback(1))
	if a.Accepted || a.Number != 0 {
		t.Errorf("back to what serves: %+v", a)
	}
	wantLines(t, out, "refused: release 1 is what serves")

	w.verdict = deploy.WatchResult{Reason: "it crashes"}
	if a, out = ask(rollback(2)); a.Accepted || strings.Contains(out, "git push") {
		t.Errorf("a roll back to a release that fails: %+v\n%s", a, out)
	}
	stands(1, oid(1))
	w.verdict = deploy.WatchResult{Pass: true}

	r := rollback(2)
	r.Again.Kind = deploy.AgainRedeploy
	if a, out = ask(r); !a.Accepted {
		t.Fatalf("redeploy: %+v\n%s", a, out)
	}
	wantLines(t, out, "redeploy of 2", "✓ build", "✓ test unit", "accepted:")
	stands(a.Number, oid(2))

	a, out = ask(rollback(99))
	wantLines(t, out, "refused: shop has no deployment 99")
	if a.Accepted {
		t.Error("a deployment that never was")
	}
	if push := p.Admit(t.Context(), offer(3), &bytes.Buffer{}); !push.Accepted {
		t.Errorf("the next push: %+v", push)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	stands(w.state.Serving, oid(3))
}

// TestRollBackToWhatWasPruned: a release that is pruned while a roll back to it begins is told to be gone, and
// nothing is switched.
func TestRollBackToWhatWasPruned(t *testing.T) {
	w := settled(t)
	p := w.pipeline()
	w.during["record deployment.queued"] = func() { w.must(os.RemoveAll(w.layout.Release(shop.Name, 1))) }
	var out bytes.Buffer
	a := p.Again(t.Context(), rollback(1), &out)
	wantLines(t, out.String(), "rejected: release 1 is not kept any more", "slipway redeploy shop 1", "production still serves")
	if a.Accepted || w.traffic != 2 || w.ref != oid(2) || !w.rows[a.Number].SwitchedAt.IsZero() {
		t.Errorf("%+v, traffic goes to %d, ref %s", a, w.traffic, w.ref.Short())
	}
}

// TestRollBackWhileDraining: who rolls back at once meets the release that is wanted being drained. Its
// ending is stopped before the switch.
func TestRollBackWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.pipeline()
		var draining context.Context
		w.stopping = func(ctx context.Context, n deploy.Number) error {
			if n != 1 {
				return nil
			}
			draining = ctx
			<-ctx.Done() // a request that does not end
			return ctx.Err()
		}
		for i := range 2 {
			if a := p.Admit(t.Context(), offer(i+1), &bytes.Buffer{}); !a.Accepted {
				t.Fatal("not accepted")
			}
		}
		synctest.Wait()
		if draining == nil || draining.Err() != nil {
			t.Fatal("release 1 is not being drained")
		}
		began := time.Now()
		if a := p.Again(t.Context(), rollback(1), &bytes.Buffer{}); !a.Accepted {
			t.Fatal("the roll back was not accepted")
		}
		if draining.Err() == nil || time.Since(began) > time.Second {
			t.Errorf("draining goes on: %v, after %s", draining.Err() == nil, time.Since(began))
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.traffic != 1 || !w.started[1] || w.started[2] {
			t.Errorf("traffic %d, running %v", w.traffic, w.started)
		}
	})
}

// TestAnswerComesFirst: what nobody waits for begins when the answer has gone out, and not at all if the
// replaced release is wanted again by then.
func TestAnswerComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.pipeline()
		p.PutOff = 50 * time.Millisecond
		var stopped []deploy.Number
		var at []time.Duration
		began := time.Now()
		w.stopping = func(_ context.Context, n deploy.Number) error {
			stopped, at = append(stopped, n), append(at, time.Since(began))
			return nil
		}
		for i := range 2 {
			if a := p.Admit(t.Context(), offer(i+1), &bytes.Buffer{}); !a.Accepted {
				t.Fatal("not accepted")
			}
		}
		if a := p.Again(t.Context(), rollback(1), &bytes.Buffer{}); !a.Accepted {
			t.Fatal("the roll back was not accepted")
		}
		w.mu.Lock()
		if len(w.spared) > 0 {
			t.Errorf("releases were pruned before the answer: %v", w.spared)
		}
		w.mu.Unlock()
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.spared) == 0 || !slices.Contains(w.spared[0], 1) || !slices.Contains(w.spared[0], 2) {
			t.Errorf("pruned, keeping %v", w.spared)
		}
		if !slices.Equal(stopped, []deploy.Number{2}) || at[0] != p.PutOff {
			t.Errorf("ended %v after %v", stopped, at)
		}
	})
}
