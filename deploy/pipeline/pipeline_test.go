package pipeline

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// TestStory is the journey of four pushes: one that goes live, one whose test fails, one that fails
// under watch and is rolled back, and an admin's forced one.
func TestStory(t *testing.T) {
	w := newWorld(t)
	p := w.pipeline()
	push := func(o deploy.Offer) (deploy.Answer, string) {
		var out bytes.Buffer
		a := p.Admit(t.Context(), o, &out)
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		return a, out.String()
	}

	a, out := push(offer(1))
	if !a.Accepted || w.ref != oid(1) || w.traffic != 1 || w.current != 1 {
		t.Fatalf("first push: %+v, ref %s, traffic %d\n%s", a, w.ref, w.traffic, out)
	}
	wantLines(t, out, `shop  deployment 1  0000000 "Fix cart total"  alice`, "✓ checkout", "✓ build", "✓ test unit", "✓ test slow",
		"✓ release", "✓ switch", "✓ monitor", "accepted: http://shop.localhost:8000 serves 0000000 (deployment 1)")

	w.fail["test unit"] = &deploy.Rejection{Code: deploy.CodeTest, Message: `test set "unit" failed (exit status 1)`, Tail: []string{"$ make test", "--- FAIL: TestTotal", "    got 3\x1b]0;owned\a, want 2"}, Line: "test unit failed"}
	a, out = push(offer(2))
	if a.Accepted || a.Line != "test unit failed: deployment 2" || w.ref != oid(1) || w.traffic != 1 {
		t.Fatalf("failing test: %+v, ref %s, traffic %d\n%s", a, w.ref, w.traffic, out)
	}
	wantLines(t, out, "✗ test unit", `rejected: test set "unit" failed (exit status 1)`+"\n  --- FAIL: TestTotal", "      got 3, want 2",
		"production still serves 0000000 (deployment 1)", "whole log: ssh -p 2222 host log 2")
	delete(w.fail, "test unit")

	w.verdict = deploy.WatchResult{Reason: "7 of 9 requests failed", Tail: []string{"panic: nil map"}}
	a, out = push(offer(3))
	if a.Accepted || w.ref != oid(1) || w.traffic != 1 || w.locked || len(w.started) != 1 {
		t.Fatalf("failing watch: %+v, ref %s, traffic %d, started %v\n%s", a, w.ref, w.traffic, w.started, out)
	}
	wantLines(t, out, "✗ monitor", "✓ roll back", "rejected: 7 of 9 requests failed", "  panic: nil map", "production still serves")

	forced := offer(0x0a)
	forced.Pusher.Admin, forced.Revision, forced.Update.Old = true, revision{oid: oid(0x0a), fork: true}, oid(1)
	a, out = push(forced)
	if !a.Accepted || w.ref != oid(0x0a) || w.traffic != 4 {
		t.Fatalf("forced push: %+v, ref %s, traffic %d\n%s", a, w.ref, w.traffic, out)
	}
	wantLines(t, out, "! bypass by a forced push", "2 test sets skipped", "the watch would have rejected this: 7 of 9", "accepted:")
}

// TestEventOrder shows the protocol of a push that goes live: every effect after its intent.
func TestEventOrder(t *testing.T) {
	w := newWorld(t)
	w.manifest.Tests = w.manifest.Tests[:1]
	w.pipeline().Admit(t.Context(), offer(1), &bytes.Buffer{})
	want := []deploy.EventType{
		"deployment.queued", "deployment.started", "stage.started", "stage.finished", "stage.started", "stage.finished",
		"stage.started", "stage.finished", "stage.started", "stage.finished", "stage.started", "switch.intended", "switch.done",
		"stage.finished", "stage.started", "stage.finished", "deployment.accepted", "ref.moved",
	}
	if d := cmp.Diff(want, w.types()); d != "" {
		t.Error(d)
	}
}

func TestRefusedAtTheDoor(t *testing.T) {
	broken := offer(2)
	broken.Revision = revision{oid: oid(2), file: "x"}
	fork := offer(2)
	fork.Revision = revision{oid: oid(2), fork: true}
	for name, c := range map[string]struct {
		offer deploy.Offer
		setup func(*world, *Pipeline)
		line  string
		says  string
	}{
		"unknown option":    {offer(2, "bypas"), nil, `unknown push option "bypas"`, "known options"},
		"bypass, no reason": {offer(2, "bypass"), nil, "a bypass needs a reason", "-o reason="},
		"bypass, no right":  {offer(2, "bypass", "reason=x"), nil, "only an admin may bypass the gate", "without -o bypass"},
		"no fast-forward":   {fork, nil, "fetch first: main is 0000000 now", "git pull --rebase ssh://host:2222/shop main"},
		"frozen":            {offer(2), func(w *world, _ *Pipeline) { w.state.Frozen = "holiday" }, "shop is frozen", "takes no deployments: holiday"},
		"broken manifest": {broken, func(_ *world, p *Pipeline) {
			p.Parse = func(string, []byte) (*deploy.Manifest, error) {
				return nil, deploy.Reject(deploy.CodeManifest, "slipway.toml:1:1: nonsense")
			}
		}, "slipway.toml:1:1: nonsense", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ref = oid(1)
			p := w.pipeline()
			if c.setup != nil {
				c.setup(w, p)
			}
			var out bytes.Buffer
			a := p.Admit(t.Context(), c.offer, &out)
			if a.Accepted || a.Number != 0 || a.Line != c.line {
				t.Errorf("answer %+v, want line %q", a, c.line)
			}
			wantLines(t, out.String(), c.says)
			if d := cmp.Diff([]deploy.EventType{deploy.EventPushRefused}, w.types()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestFaultsAreNotBlamed breaks every effect in turn: the pusher hears of an internal error, the ref
// has not moved, production is as it was.
func TestFaultsAreNotBlamed(t *testing.T) {
	for _, step := range []string{"keep", "build", "test unit", "start", "switch 1", "watch", "record switch.intended", "record switch.done", "record deployment.accepted", "record stage.started"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			w.fail[step] = errors.New("disk on fire")
			var out bytes.Buffer
			a := w.pipeline().Admit(t.Context(), offer(1), &out)
			if a.Accepted || w.ref != "" || w.traffic != 0 || w.locked || len(w.started) != 0 {
				t.Errorf("answer %+v, ref %q, traffic %d, locked %t, started %v", a, w.ref, w.traffic, w.locked, w.started)
			}
			wantLines(t, out.String(), "fault: internal error, deployment 1", "not of your revision")
			if strings.Contains(out.String(), "disk on fire") {
				t.Error("the pusher reads the fault's text")
			}
			if !strings.Contains(w.log.String(), "disk on fire") {
				t.Error("the server's log does not have the fault's text")
			}
		})
	}
}

// TestFailedRollbackFreezes is the worst case: it is the loudest thing we say.
func TestFailedRollbackFreezes(t *testing.T) {
	w := newWorld(t)
	w.verdict = deploy.WatchResult{Reason: "down"}
	w.fail["switch 0"] = errors.New("router is gone")
	var out bytes.Buffer
	a := w.pipeline().Admit(t.Context(), offer(1), &out)
	if a.Accepted || w.state.Frozen == "" || w.rows[1].Status != deploy.StatusErrored {
		t.Errorf("answer %+v, frozen %q, row %+v", a, w.state.Frozen, w.rows[1])
	}
	wantLines(t, out.String(), "fault: PRODUCTION COULD NOT BE PUT BACK", "The target is frozen", "what production serves now is unknown")
}

// TestRefThatCannotBeWritten stays accepted; the next start writes the ref.
func TestRefThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	w.fail["commit ref"] = errors.New("disk full")
	a := w.pipeline().Admit(t.Context(), offer(1), &bytes.Buffer{})
	if a.Accepted || w.traffic != 1 || w.state.Frozen == "" {
		t.Fatalf("answer %+v, traffic %d, frozen %q", a, w.traffic, w.state.Frozen)
	}
	delete(w.fail, "commit ref")
	if err := w.pipeline().Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.ref != oid(1) || w.traffic != 1 {
		t.Errorf("after the next start: ref %q, traffic %d", w.ref, w.traffic)
	}
}

// TestStepsThatAServerLeft: a hook may have run for a deployment that had its verdict. What runs is ended at the next
// start; if it cannot be, everything else is put right all the same.
func TestStepsThatAServerLeft(t *testing.T) {
	for _, failure := range []error{nil, errors.New("it does not end")} {
		w := newWorld(t)
		if a := w.pipeline().Admit(t.Context(), offer(1), &bytes.Buffer{}); !a.Accepted {
			t.Fatalf("answer %+v", a)
		}
		w.traffic = 0 // the machine was restarted
		ended := false
		w.during["end all"] = func() { ended = true }
		w.fail["end all"] = failure
		if err := w.pipeline().Settle(t.Context()); err != nil || w.traffic != 1 {
			t.Errorf("traffic %d, %v", w.traffic, err)
		}
		if !ended || failure != nil && !strings.Contains(w.log.String(), failure.Error()) {
			t.Errorf("ended: %t; the server's log: %s", ended, w.log.String())
		}
	}
}

// TestPusherLeaves: before the switch it cancels, from the switch on it changes nothing.
func TestPusherLeaves(t *testing.T) {
	for step, accepted := range map[string]bool{"keep": false, "build": false, "test unit": false, "start": false, "switch 1": true, "watch": true} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			w.during[step] = leave
			a := w.pipeline().Admit(ctx, offer(1), &bytes.Buffer{})
			if a.Accepted != accepted || (w.ref == oid(1)) != accepted || (w.traffic == 1) != accepted || len(w.started) == 1 != accepted {
				t.Errorf("answer %+v, ref %q, traffic %d, started %v", a, w.ref, w.traffic, w.started)
			}
			if !accepted && w.rows[1].Status != deploy.StatusCanceled {
				t.Errorf("status %s, want canceled", w.rows[1].Status)
			}
		})
	}
}

// TestQueue: the second push on a target waits, sees who is ahead, and is refused the moment the first
// one's acceptance makes it impossible; a push stacked on the first one goes on.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.pipeline()
		release := make(chan struct{})
		first := true
		w.during["watch"] = func() {
			if first {
				first = false
				<-release
			}
		}
		var outs [3]bytes.Buffer
		answers := make(chan deploy.Answer, 3)
		fork := offer(0x0f)
		fork.Revision, fork.Pusher.User = revision{oid: oid(0x0f), fork: true}, "bob"
		for i, o := range []deploy.Offer{offer(1), fork, offer(2)} {
			go func() { answers <- p.Admit(t.Context(), o, &outs[i]) }()
			synctest.Wait()
		}
		wantLines(t, outs[1].String(), "waiting: place 1, after deployment 1 by alice (monitor, ")
		wantLines(t, outs[2].String(), "waiting: place 2, after deployment 1 by alice")
		close(release)
		got := map[deploy.Number]bool{}
		for range 3 {
			a := <-answers
			got[a.Number] = a.Accepted
		}
		if d := cmp.Diff(map[deploy.Number]bool{1: true, 2: false, 3: true}, got); d != "" {
			t.Error(d)
		}
		wantLines(t, outs[1].String(), "rejected: 0000000 is no fast-forward of main")
		if w.ref != oid(2) || w.traffic != 3 {
			t.Errorf("ref %s, traffic %d", w.ref, w.traffic)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNeverSilent: a stage that says nothing shows its elapsed time.
func TestNeverSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(12*time.Second, leave)
		w.during["build"] = func() { <-ctx.Done() }
		var out bytes.Buffer
		w.pipeline().Admit(ctx, offer(1), &out)
		wantLines(t, out.String(), "… build                     5.0s", "… build                     10s", "canceled: ")
	})
}

func wantLines(t *testing.T, out string, want ...string) {
	t.Helper()
	rest := out
	for _, s := range want {
		i := strings.Index(rest, s)
		if i < 0 {
			t.Errorf("missing %q, in order, in:\n%s", s, out)
			return
		}
		rest = rest[i+len(s):]
	}
}
