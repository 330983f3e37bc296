package monitor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"slipway/deploy"
)

const (
	// defaultInterval is for a manifest that does not come from a file.
	defaultInterval = 250 * time.Millisecond
	// patience is how many looks in a row decide what one look alone must not: a probe without an
	// answer, a socket that nobody owns, an instance that cannot be inspected.
	patience = 3
)

// watch is one candidate under watch. It belongs to one goroutine.
type watch struct {
	subject Subject
	checks  []check
	eyes    []eye
	start   time.Time
	blind   int   // looks in a row that lacked what is needed to judge
	lacked  error // why
	tail    tail
}

// eye sees one part of a candidate: an instance, or a production that is elsewhere.
type eye interface {
	// see takes every measurement of one look, side by side where they may take long.
	see(ctx context.Context, final bool) sight
	close()
}

// look is everything that was seen at one moment.
type look struct {
	at      time.Time
	elapsed time.Duration // since the watch began
	bake    time.Duration // how long it is to last
	final   bool          // the bake time is over
	sights  []sight
}

// sight is what was seen of one part of a candidate.
type sight struct {
	name     string // web, or web.2 where there are several
	instance deploy.Instance

	probed bool // it takes requests
	probe  probe

	inspected bool
	state     deploy.InstanceState
	cpu       time.Duration // spent since the watch began

	counted bool
	traffic deploy.TrafficCounts // since the watch began; the latencies are the newest ones

	logged bool
	lines  []string // new in the log, complete ones

	revision string // what a production elsewhere says of its revision: "" if it is the candidate's

	err error // why something that is needed could not be had
}

func newWatch(m *Monitor, s Subject, checks []check) *watch {
	w := &watch{subject: s, checks: checks}
	if s.Manifest.External() {
		w.eyes = []eye{&elsewhere{monitor: m, subject: s}}
		return w
	}
	for _, i := range s.Candidate.Instances {
		w.eyes = append(w.eyes, newLocal(m, s, i, displayName(i, s.Candidate.Instances)))
	}
	return w
}

// displayName is the process's name, with the index where it has several instances.
func displayName(i deploy.Instance, all []deploy.Instance) string {
	for _, other := range all {
		if other.Process == i.Process && other.Index != i.Index {
			return fmt.Sprintf("%s.%d", i.Process, i.Index)
		}
	}
	return i.Process
}

func (w *watch) close() {
	for _, e := range w.eyes {
		e.close()
	}
}

// run looks once an interval, and when the bake time is over, until there is a verdict.
func (w *watch) run(ctx context.Context, report func(deploy.Measurement)) error {
	plan := w.subject.Manifest.Monitor
	if plan.Interval <= 0 {
		plan.Interval = defaultInterval
	}
	w.start = time.Now()
	ticker := time.NewTicker(plan.Interval)
	defer ticker.Stop()
	bake := time.NewTimer(plan.BakeTime)
	defer bake.Stop()
	over := bake.C
	for {
		l := w.look(ctx, plan.BakeTime)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.take(l)
		report(w.measurement(l))
		if w.subject.Decide && w.failure() != nil {
			return nil
		}
		if l.final {
			if plan.BakeTime == 0 || !w.unsettled() {
				return w.fault()
			}
			over = nil
			ticker.Reset(plan.Interval) // forgets a tick of this very moment
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		case <-over:
		}
	}
}

// look sees every part of the candidate at the same time.
func (w *watch) look(ctx context.Context, bake time.Duration) *look {
	l := &look{at: time.Now(), bake: bake, sights: make([]sight, len(w.eyes))}
	l.elapsed = l.at.Sub(w.start)
	l.final = l.elapsed >= bake
	var all sync.WaitGroup
	for i, e := range w.eyes {
		all.Go(func() { l.sights[i] = e.see(ctx, l.final) })
	}
	all.Wait()
	return l
}

// take gives a look to every check, and remembers what the log says.
func (w *watch) take(l *look) {
	var lacked error
	for _, s := range l.sights {
		if s.err != nil {
			lacked = fmt.Errorf("%s: %w", s.name, s.err)
		}
		w.tail.add(s.name, len(w.eyes) > 1, s.lines)
	}
	if w.lacked = lacked; lacked != nil {
		w.blind++
	} else {
		w.blind = 0
	}
	for _, c := range w.checks {
		c.take(l)
	}
}

// unsettled tells whether one more look may answer what this one left open.
func (w *watch) unsettled() bool {
	if w.blind > 0 && w.blind < patience {
		return true
	}
	for _, c := range w.checks {
		if c.finding().open {
			return true
		}
	}
	return false
}

// fault is why no verdict is possible at the end, if so.
func (w *watch) fault() error {
	if w.subject.Decide {
		return w.lacked
	}
	return nil
}

// failure returns what a pusher should read first of what failed: its cause rather than its symptoms.
func (w *watch) failure() *finding {
	var first *finding
	for _, c := range w.checks {
		f := c.finding()
		if f.outcome == deploy.OutcomeFail && (first == nil || f.weight > first.weight) {
			first = &f
		}
	}
	return first
}

func (w *watch) result() deploy.WatchResult {
	r := deploy.WatchResult{Pass: true, Checks: w.findings()}
	if f := w.failure(); f != nil {
		r.Pass, r.Reason, r.Tail = false, f.reason, w.tail.lines
	}
	return r
}

func (w *watch) findings() []deploy.Check {
	var all []deploy.Check
	for _, c := range w.checks {
		f := c.finding()
		all = append(all, deploy.Check{Name: c.name(), Outcome: f.outcome, Detail: f.detail})
	}
	return all
}

func (w *watch) readings() []deploy.Reading {
	var all []deploy.Reading
	for _, c := range w.checks {
		if r, ok := c.(reader); ok {
			if reading, known := r.reading(); known {
				all = append(all, reading)
			}
		}
	}
	return all
}

// measurement puts a look into numbers, those of several instances together.
func (w *watch) measurement(l *look) deploy.Measurement {
	m := deploy.Measurement{At: l.at, Checks: w.findings(), Readings: w.readings()}
	for _, s := range l.sights {
		m.Memory += s.state.Memory
		m.CPU += s.cpu
		m.Counts = add(m.Counts, s.traffic)
		if !s.probed {
			continue
		}
		text := s.probe.String()
		if m.Probe != "" {
			m.Probe += ", "
		}
		if len(l.sights) > 1 {
			text = s.name + " " + text
		}
		m.Probe += text
	}
	if !l.final {
		m.Counts.Latencies = nil // they would be told again and again; the last look tells them once
	}
	return m
}
