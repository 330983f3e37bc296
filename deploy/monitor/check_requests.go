package monitor

import (
	"fmt"
	"strings"
	"time"

	"slipway/deploy"
)

// probeCheck asks whether every instance answers. Failures are judged by their share, and three in a
// row are enough.
type probeCheck struct {
	sticky
	allowed float64
	seen    map[string]*probed
	last    []probe // of the latest look
	final   bool
}

// probed is what became of one instance's probes.
type probed struct {
	score  *score
	inARow int // failures
}

// leastProbeShare is allowed of probes even where a manifest allows users' requests no failure: one
// probe that a busy machine left unanswered proves nothing.
const leastProbeShare = 0.01

func newProbeCheck(plan deploy.MonitorPlan) *probeCheck {
	return &probeCheck{allowed: max(plan.MaxErrorRate, leastProbeShare), seen: map[string]*probed{}}
}

func (c *probeCheck) name() string { return "probe" }

func (c *probeCheck) take(l *look) {
	c.last, c.final = nil, l.final
	for _, s := range l.sights {
		if !s.probed {
			continue
		}
		c.last = append(c.last, s.probe)
		p := c.seen[s.name]
		if p == nil {
			p = &probed{score: newScore(c.allowed)}
			c.seen[s.name] = p
		}
		c.judge(p, s, l)
	}
}

func (c *probeCheck) judge(p *probed, s sight, l *look) {
	if s.probe.ok {
		p.inARow = 0
		p.score.add(0, 1)
		return
	}
	p.inARow++
	p.score.add(1, 0)
	switch {
	case p.inARow >= patience:
		c.fail(finding{reason: fmt.Sprintf("%s did not answer %d probes in a row: %s", s.name, p.inARow, s.probe.blame())})
	case p.score.rejects():
		c.fail(finding{reason: fmt.Sprintf("%s: %s", p.score.blame("probes of "+s.name+" failed"), s.probe.blame())})
	case l.final && l.bake == 0:
		c.fail(finding{reason: fmt.Sprintf("%s did not answer the probe: %s", s.name, s.probe.blame())})
	}
}

func (c *probeCheck) finding() finding {
	all := newScore(c.allowed)
	passed, open := len(c.seen) > 0, false
	for _, p := range c.seen {
		all.failures += p.score.failures
		all.total += p.score.total
		passed = passed && p.score.passes()
		open = open || p.inARow > 0
	}
	var texts []string
	for _, p := range c.last {
		texts = append(texts, p.String())
	}
	detail := all.share("probes failed") + ", the last: " + strings.Join(texts, ", ")
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = detail, weightProbe
		return f
	case len(c.seen) == 0:
		return noData("no process takes requests")
	case passed:
		return finding{outcome: deploy.OutcomePass, detail: detail, open: open}
	}
	return finding{outcome: deploy.OutcomeNoData, detail: detail, open: open}
}

// reading is the time of the slowest answer. What has no answer has none.
func (c *probeCheck) reading() (deploy.Reading, bool) {
	slowest, known := time.Duration(0), false
	for _, p := range c.last {
		if p.ok || p.status != 0 {
			slowest, known = max(slowest, p.took), true
		}
	}
	return deploy.Reading{Check: c.name(), Value: slowest.Seconds()}, known
}

// errorsCheck asks whether users get answers, of all instances together.
type errorsCheck struct {
	sticky
	score            *score
	failures, passed int64 // of users' requests, as of the last look
	counted          bool
}

func (c *errorsCheck) name() string { return "errors" }

func (c *errorsCheck) take(l *look) {
	var all deploy.TrafficCounts
	for _, s := range l.sights {
		if !s.counted && s.instance.Addr != "" {
			return // part of the numbers would look like a change
		}
		c.counted = c.counted || s.counted
		all = add(all, s.traffic)
	}
	failures := failed(all)
	passed := answered(all) - failures
	c.score.add(failures-c.failures, passed-c.passed)
	c.failures, c.passed = failures, passed
	if c.score.rejects() {
		c.fail(finding{reason: c.score.blame("requests to users failed with 5xx")})
	}
}

func (c *errorsCheck) finding() finding {
	detail := c.score.share("requests to users failed with 5xx") + ", at most " + percent(c.score.allowed)
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = detail, weightErrors
		return f
	case !c.counted:
		return noData("no process takes requests")
	case c.score.total == 0:
		return noData("no requests of users yet")
	case c.score.passes():
		return pass(detail)
	}
	return noData(detail)
}

// reading is the share of all requests of the watch that failed.
func (c *errorsCheck) reading() (deploy.Reading, bool) {
	share := float64(c.score.failures) / float64(max(c.score.total, 1))
	return deploy.Reading{Check: c.name(), Value: share, Limit: c.score.allowed}, c.score.total > 0
}
