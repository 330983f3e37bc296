package release

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"slipway/deploy"
)

// pruned prunes, and lists what went.
func pruned(e engineMethods, app deploy.AppName, keep []deploy.Number, keepN int) (gone []deploy.Number, err error) {
	err = e.Prune(context.Background(), app, keep, keepN, func(n deploy.Number) error {
		gone = append(gone, n)
		return nil
	})
	return gone, err
}

// TestPruneAnyHistory prunes releases as chance has left them: what serves, what is current, what has
// instances (a candidate under watch, or one being drained), and what is named (the good one before, the
// target of a roll back) is there afterwards; so are the newest ones, as many as are to be kept; no other is.
func TestPruneAnyHistory(t *testing.T) {
	b := newBench(t)
	went, spared := 0, 0
	for seed := range uint64(80) {
		random := rand.New(rand.NewPCG(seed, 0))
		var all []deploy.Number
		most := deploy.Number(1 + random.IntN(16))
		for n := deploy.Number(1); n <= most; n++ {
			if random.IntN(4) > 0 {
				all = append(all, n)
			}
		}
		some := func() deploy.Number { // one of them, or none
			return append([]deploy.Number{0}, all...)[random.IntN(len(all)+1)]
		}
		for _, n := range all {
			if err := os.MkdirAll(filepath.Join(b.layout.Release("shop", n), "static"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		keepN, serves, current, drained, named := random.IntN(6), some(), some(), some(), []deploy.Number{some(), some()}
		instance := b.folder("shop", drained, deploy.WebProcess, 1)
		if drained != 0 {
			if err := os.MkdirAll(instance, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.MarkCurrent("shop", current); err != nil {
			t.Fatal(err)
		}
		b.router.routed["shop"] = serves
		newest := slices.Clone(all)
		slices.Reverse(newest)
		newest = newest[:min(keepN, len(newest))]
		var wantGone, wantLeft []deploy.Number
		for _, n := range all {
			switch {
			case slices.Contains(newest, n):
				wantLeft = append(wantLeft, n)
			case n == serves, n == current, n == drained, slices.Contains(named, n):
				wantLeft = append(wantLeft, n)
				spared++
			default:
				wantGone = append(wantGone, n)
				went++
			}
		}
		gone, err := pruned(b, "shop", named, keepN)
		slices.Sort(gone)
		if err != nil || !slices.Equal(gone, wantGone) {
			t.Errorf("seed %d: pruned %d, %v, want %d", seed, gone, err, wantGone)
		}
		left, err := b.numbers("shop")
		slices.Sort(left)
		if err != nil || !slices.Equal(left, wantLeft) {
			t.Errorf("seed %d: left %d, %v, want %d", seed, left, err, wantLeft)
		}
		for _, dir := range []string{b.layout.Releases("shop"), instance} {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		b.router.routed["shop"] = 0
	}
	if t.Logf("%d releases went, %d stayed that were beyond what is kept", went, spared); went < 50 || spared < 50 {
		t.Error("that was hardly a test")
	}
}
