package pipeline

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"slipway/deploy"
)

// TestPrunedAfterItIsRecorded: a release goes after that has been recorded, and not where it cannot be. What a
// server was killed before, the next one's start does.
func TestPrunedAfterItIsRecorded(t *testing.T) {
	w := settled(t) // 1 was accepted, and 2, which serves
	w.prunable = []deploy.Number{1}
	w.fail["record release.pruned"] = errors.New("no space left on device")
	p := w.pipeline()
	if a := p.Admit(t.Context(), offer(3), &bytes.Buffer{}); !a.Accepted {
		t.Fatalf("%+v", a)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.pruned) > 0 {
		t.Errorf("pruned %d, which could not be recorded", w.pruned)
	}
	delete(w.fail, "record release.pruned")
	p = w.pipeline()
	if err := p.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.pruned, w.prunable) || !slices.Contains(w.types(), deploy.EventReleasePruned) {
		t.Errorf("pruned at the start: %d; recorded: %v", w.pruned, w.types())
	}
}
