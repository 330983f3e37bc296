package pipeline

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"slipway/deploy"
)

// TestRecordsThatStopAfterTheSwitch: what cannot be recorded is not done. Production is put back, nothing
// is deployed on top of that, and once records can be written again they tell all of it, in order.
func TestRecordsThatStopAfterTheSwitch(t *testing.T) {
	w := newWorld(t)
	p := w.pipeline()
	if a := p.Admit(t.Context(), offer(1), &bytes.Buffer{}); !a.Accepted {
		t.Fatalf("answer %+v", a)
	}
	w.during["watch"] = func() { // and from then on
		w.refuse = func(step string) error {
			if strings.HasPrefix(step, "record ") {
				return errors.New("disk on fire")
			}
			return nil
		}
	}
	var out bytes.Buffer
	a := p.Admit(t.Context(), offer(2), &out)
	if a.Accepted || w.traffic != 1 || w.ref != oid(1) || w.current != 1 {
		t.Errorf("answer %+v, traffic %d, ref %s, current %d", a, w.traffic, w.ref.Short(), w.current)
	}
	wantLines(t, out.String(), "✓ roll back", "fault: internal error", "production still serves")
	delete(w.during, "watch")
	recorded := len(w.events)

	out.Reset()
	if a := p.Admit(t.Context(), offer(3), &out); a.Accepted || a.Number != 0 || w.traffic != 1 {
		t.Errorf("on top of it: answer %+v, traffic %d", a, w.traffic)
	}
	wantLines(t, out.String(), "refused: shop takes no deployments: what happened to it last could not be recorded", "slipway doctor")

	w.refuse = nil
	out.Reset()
	if a := p.Admit(t.Context(), offer(3), &out); a.Accepted || a.Number != 0 || w.state.Frozen == "" {
		t.Errorf("when records are back: answer %+v, frozen %q", a, w.state.Frozen)
	}
	wantLines(t, out.String(), "refused: shop takes no deployments: the roll back of deployment 2 could not be recorded")
	var late []deploy.EventType
	for _, e := range w.events[recorded:] {
		late = append(late, e.Type)
	}
	want := []deploy.EventType{deploy.EventRollbackIntended, deploy.EventRollbackDone, deploy.EventTargetFrozen, deploy.EventErrored, deploy.EventPushRefused}
	if !slices.Equal(late, want) {
		t.Errorf("recorded late: %v, want %v", late, want)
	}
	if w.rows[2].Status != deploy.StatusErrored {
		t.Errorf("deployment 2 is %s", w.rows[2].Status)
	}
}

// TestRecordsThatStopBeforeTheSwitch: the push is refused, and production has not noticed.
func TestRecordsThatStopBeforeTheSwitch(t *testing.T) {
	w := newWorld(t)
	w.during["build"] = func() {
		w.refuse = func(step string) error {
			if strings.HasPrefix(step, "record ") {
				return errors.New("disk on fire")
			}
			return nil
		}
	}
	a := w.pipeline().Admit(t.Context(), offer(1), &bytes.Buffer{})
	if a.Accepted || w.traffic != 0 || w.ref != "" || len(w.started) > 0 {
		t.Errorf("answer %+v, traffic %d, ref %s, started %v", a, w.traffic, w.ref, w.started)
	}
}
