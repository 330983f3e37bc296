package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"slipway/deploy"
)

// TestKilledAtEveryEffect kills the server before and after every effect of a push, and then before and
// after every effect of the recovery, and looks each time whether ref, traffic and history agree. The
// effects are found by running: a new one is covered when it is written.
func TestKilledAtEveryEffect(t *testing.T) {
	good, bad := deploy.WatchResult{Pass: true}, deploy.WatchResult{Reason: "down"}
	for name, c := range map[string]story{
		"accepted":                    {good, pushAndWait},
		"rolled back":                 {bad, pushAndWait},
		"roll back by hand":           {good, goBack},
		"roll back by hand, put back": {bad, goBack},
	} {
		total := countEffects(t, c)
		for kill := 1; kill <= total; kill++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/effect %d after %t", name, kill, after), func(t *testing.T) {
					crashAndRecover(t, c, kill, after)
				})
			}
		}
	}
}

// story is what the server does when it is killed.
type story struct {
	verdict deploy.WatchResult
	run     func(*world)
}

// settled is a world in which revision 2 is in production, and 1 was before.
func settled(t *testing.T) *world {
	w := newWorld(t)
	p := w.pipeline()
	for i := range 2 {
		if a := p.Admit(t.Context(), offer(i+1), &bytes.Buffer{}); !a.Accepted {
			t.Fatal("a push was not accepted")
		}
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.manifest.Tests = w.manifest.Tests[:1] // one after the other, so that effects have an order
	w.steps = 0
	return w
}

func countEffects(t *testing.T, c story) int {
	w := settled(t)
	w.verdict = c.verdict
	w.alive(func() { c.run(w) })
	if w.steps < 10 {
		t.Fatalf("only %d effects", w.steps)
	}
	return w.steps
}

func pushAndWait(w *world) {
	p := w.pipeline()
	p.Admit(context.Background(), offer(3), &bytes.Buffer{})
	_ = p.Wait(context.Background())
}

func goBack(w *world) {
	p := w.pipeline()
	p.Again(context.Background(), rollback(1), &bytes.Buffer{})
	_ = p.Wait(context.Background())
}

// alive runs the server until it ends or is killed, and tells which.
func (w *world) alive(run func()) (ended bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	select {
	case <-done:
	case <-w.died:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.dead
}

// restart is what a kill leaves: the dead server's locks and its process are gone.
func (w *world) restart(killAt int, after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.locked, w.steps, w.killAt, w.after = false, 0, killAt, after
	w.generation++
	w.dead, w.died, w.killed = false, make(chan struct{}), new(sync.Once)
}

func crashAndRecover(t *testing.T, c story, kill int, after bool) {
	for second := 0; ; second++ {
		w := settled(t)
		w.verdict = c.verdict
		w.killAt, w.after = kill, after
		if w.alive(func() { c.run(w) }) {
			t.Fatal("the server was not killed")
		}
		w.restart(second, false)
		if w.alive(func() { settle(t, w) }) && second > 0 {
			return // the recovery has fewer effects than that
		}
		w.restart(0, false)
		if !w.alive(func() { settle(t, w) }) {
			t.Fatal("killed without an order")
		}
		w.agrees(t, fmt.Sprintf("second kill at %d", second))
	}
}

func settle(t *testing.T, w *world) {
	if err := w.pipeline().Settle(context.Background()); err != nil {
		t.Error(err)
	}
}

// agrees checks the invariant, and that the next push works.
func (w *world) agrees(t *testing.T, when string) {
	t.Helper()
	w.agreesNow(t, when)
	w.mu.Lock()
	w.verdict = deploy.WatchResult{Pass: true}
	w.mu.Unlock()
	next := w.pipeline()
	if a := next.Admit(t.Context(), offer(9), &bytes.Buffer{}); !a.Accepted || w.ref != oid(9) {
		t.Errorf("%s: the next push: %+v", when, a)
	}
	if err := next.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// agreesNow checks the invariant while nothing is in work.
func (w *world) agreesNow(t *testing.T, when string) {
	t.Helper()
	if w.ref != w.state.Revision || w.traffic != w.state.Serving || w.current != w.state.Serving || w.state.Frozen != "" {
		t.Errorf("%s: ref %s, recorded %s; traffic %d, current %d, recorded %d; frozen %q\n%s", when, w.ref.Short(), w.state.Revision.Short(),
			w.traffic, w.current, w.state.Serving, w.state.Frozen, w.log.String())
	}
	if len(w.started) != 1 || !w.started[w.traffic] {
		t.Errorf("%s: running %v, want only %d", when, w.started, w.traffic)
	}
	for n, d := range w.rows {
		if !d.Status.Final() {
			t.Errorf("%s: deployment %d is still %s", when, n, d.Status)
		}
		if d.Status == deploy.StatusAccepted && !d.RefMoved {
			t.Errorf("%s: deployment %d is accepted without its ref", when, n)
		}
	}
	folders, err := os.ReadDir(filepath.Dir(w.layout.Deployment(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if n, err := deploy.ParseNumber(f.Name()); err != nil || w.rows[n] == nil {
			t.Errorf("%s: the folder %s is of no deployment: %v", when, f.Name(), err)
		}
	}
}
