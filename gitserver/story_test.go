package gitserver_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"slipway/deploy"
)

// A developer pushes to main: the gate decides, the ref moves, the next clone has it. Then the gate
// says no, and git says why.
func TestStory(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		one := alice.start(w.format())
		alice.git("push", "-q", "production", "main")
		if got := w.ref("refs/heads/main"); got != one {
			t.Fatalf("main is at %q, want %s", got, one)
		}
		alice.git("clone", "-q", alice.url("/shop.git"), "clone")
		if got := alice.git("-C", "clone", "rev-parse", "origin/main"); got != string(one) {
			t.Errorf("cloned %q, want %s", got, one)
		}

		w.gate.admit = func(_ context.Context, o deploy.Offer, progress io.Writer) deploy.Answer {
			fmt.Fprintf(progress, "%s  %s %q\n", o.App, o.Update.New.Short(), o.Commit.Subject)
			return deploy.Answer{Number: 42, Line: "test unit failed: deployment 42"}
		}
		two := alice.commit("Fix cart")
		out := alice.fail("push", "production", "main")
		contains(t, out, fmt.Sprintf("remote: shop  %s \"Fix cart\"", two.Short()),
			"! [remote rejected] main -> main (test unit failed: deployment 42)")
		if got := w.ref("refs/heads/main"); got != one {
			t.Errorf("main is at %q, want %s", got, one)
		}
	})
}
