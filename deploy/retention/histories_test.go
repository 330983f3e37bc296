package retention_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
)

// history is an app's past as chance has it.
type history struct {
	*world
	random *rand.Rand
	n      deploy.Number
	old    map[deploy.Number]bool // ended, or was left by who knows whom, longer ago than logs are kept
	odd    []deploy.Number        // of which there are logs, and no records
}

var statuses = []deploy.Status{
	deploy.StatusQueued, deploy.StatusRunning, deploy.StatusAccepted, deploy.StatusAccepted, deploy.StatusRejected, deploy.StatusRejected,
	deploy.StatusCanceled, deploy.StatusErrored, deploy.StatusInterrupted,
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{world: newWorld(t), random: rand.New(rand.NewPCG(seed, 0)), old: map[deploy.Number]bool{}}
	h.n = deploy.Number(h.random.IntN(30))
	h.policy.Logs, h.policy.Rejected = time.Duration(h.random.IntN(4))*30*day, h.random.IntN(6)
	var accepted []deploy.Number
	for n := deploy.Number(1); n <= h.n; n++ {
		s := statuses[h.random.IntN(len(statuses))]
		h.deployment(n, s, h.age(n))
		h.running[n] = h.random.IntN(8) == 0
		if s == deploy.StatusAccepted {
			accepted = append(accepted, n)
			if h.random.IntN(2) == 0 {
				h.file(filepath.Join("apps/shop/releases", n.String(), "REVISION"), 1)
			}
		}
		if h.random.IntN(5) > 0 {
			h.kept = append(h.kept, n)
		}
	}
	if len(accepted) > 0 {
		h.state.Serving = accepted[h.random.IntN(len(accepted))]
		h.state.Previous = accepted[h.random.IntN(len(accepted))]
	}
	for n := h.n + 1; n <= h.n+2; n++ {
		log := h.file(filepath.Join("deployments", n.String(), "transcript.log"), 1)
		at := time.Now().Add(-h.age(n))
		h.must(os.Chtimes(filepath.Dir(log), at, at))
		h.running[n] = h.random.IntN(4) == 0 // it begins, and is about to be recorded
		h.odd = append(h.odd, n)
	}
	h.random.Shuffle(len(h.kept), func(i, j int) { h.kept[i], h.kept[j] = h.kept[j], h.kept[i] })
	return h
}

// age is well before or well after the time for which logs are kept.
func (h *history) age(n deploy.Number) time.Duration {
	h.old[n] = h.random.IntN(2) == 0
	if h.old[n] {
		return h.policy.Logs + time.Minute + time.Duration(h.random.Int64N(int64(100*day)))
	}
	return max(0, h.policy.Logs-time.Minute-time.Duration(h.random.Int64N(int64(30*day)))) - time.Minute
}

// touchable tells whether anything may be taken away of a deployment: it has ended, nobody is at work with
// it, and it is neither what serves nor what a roll back goes to.
func (h *history) touchable(n deploy.Number) bool {
	d, known := h.rows[n]
	switch {
	case h.running[n] || n == h.state.Serving || n == h.state.Previous:
		return false
	case !known:
		return true
	}
	return d.Status != deploy.StatusQueued && d.Status != deploy.StatusRunning
}

// logsGo: all that are old, but for those that a release that is kept needs.
func (h *history) logsGo(n deploy.Number) bool {
	return h.touchable(n) && h.old[n] && !h.there(filepath.Join("apps/shop/releases", n.String()))
}

// revisionsGo: those that were not accepted, if they are old or not among the newest ones.
func (h *history) revisionsGo() []deploy.Number {
	var spare, gone []deploy.Number
	for n := h.n; n > 0; n-- {
		if slices.Contains(h.kept, n) && h.touchable(n) && h.rows[n].Status != deploy.StatusAccepted {
			spare = append(spare, n)
		}
	}
	for i, n := range spare {
		if i >= h.policy.Rejected || h.old[n] {
			gone = append(gone, n)
		}
	}
	return gone
}

// told finds the deployments that things of a kind were said of, in the order of their numbers.
func (h *history) told(what string) []deploy.Number {
	var all []deploy.Number
	for _, line := range h.said {
		text, ok := strings.CutPrefix(line, what+" ")
		if !ok {
			continue
		}
		var data deploy.PrunedData
		if json.Unmarshal([]byte(text), &data) != nil {
			h.must(json.Unmarshal([]byte(strings.ReplaceAll(text, " ", ",")), &data.Deployments))
		}
		all = append(all, data.Deployments...)
	}
	slices.Sort(all)
	return all
}

// TestAnyHistory prunes pasts as chance has them: what serves, the good one before, and what is in flight is
// all there afterwards; of the rest everything beyond the limits is gone, and nothing else; and what is gone
// was recorded. Once more changes nothing.
func TestAnyHistory(t *testing.T) {
	logs, revisions, spared := 0, 0, 0
	for seed := range uint64(300) {
		h := newHistory(t, seed)
		var wantLogs []deploy.Number
		for n := deploy.Number(1); n <= h.n+2; n++ {
			if h.logsGo(n) {
				wantLogs = append(wantLogs, n)
			} else if h.old[n] {
				spared++
			}
		}
		wantRevisions := h.revisionsGo()
		slices.Sort(wantRevisions)
		h.must(h.keeper().Tidy(t.Context(), seed%2 == 0))
		context := fmt.Sprintf("seed %d: %+v, limits %+v, in flight %v", seed, h.state, h.policy, h.running)
		for n := deploy.Number(1); n <= h.n+2; n++ {
			if h.there(filepath.Join("deployments", n.String())) == slices.Contains(wantLogs, n) {
				t.Errorf("%s: the logs of %d, %s, old: %v", context, n, h.rows[n].Status, h.old[n])
			}
		}
		if got := h.told("forget"); !slices.Equal(got, wantRevisions) {
			t.Errorf("%s: revisions taken away: %d, want %d", context, got, wantRevisions)
		}
		if got := h.told(string(deploy.EventLogsPruned)); !slices.Equal(got, wantLogs) {
			t.Errorf("%s: recorded of logs: %d, want %d", context, got, wantLogs)
		}
		if got := h.told(string(deploy.EventRevisionsPruned)); !slices.Equal(got, wantRevisions) {
			t.Errorf("%s: recorded of revisions: %d, want %d", context, got, wantRevisions)
		}
		h.said, h.kept = nil, slices.DeleteFunc(h.kept, func(n deploy.Number) bool { return slices.Contains(wantRevisions, n) })
		h.must(h.keeper().Tidy(t.Context(), false))
		if len(h.told("forget")) > 0 || len(h.told(string(deploy.EventLogsPruned))) > 0 {
			t.Errorf("%s: done again: %q", context, h.said)
		}
		logs, revisions = logs+len(wantLogs), revisions+len(wantRevisions)
	}
	t.Logf("%d logs and %d revisions went, %d old logs stayed", logs, revisions, spared)
	if logs < 300 || revisions < 300 || spared < 300 {
		t.Error("that was hardly a test")
	}
}
