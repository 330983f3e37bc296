package monitor

import (
	"fmt"
	"path/filepath"
	"time"

	"slipway/deploy"
)

// clockGrain is by how much the system's notes of when a process started may be early.
const clockGrain = time.Second

// identityCheck asks whether what serves is the release that was tested: it runs from the release's
// directory, since the release was made, and owns the socket that requests are passed to.
type identityCheck struct {
	sticky
	release deploy.Release
	deaf    map[string]int // looks in a row at which nobody of the instance owned its socket
	detail  string
	good    bool
}

func (c *identityCheck) name() string { return "identity" }

func (c *identityCheck) take(l *look) {
	if c.deaf == nil {
		c.deaf = map[string]int{}
	}
	seen, good := 0, true
	for _, s := range l.sights {
		if !s.inspected || !s.state.Running {
			good = false
			continue
		}
		seen++
		good = c.judge(s, l) && good
	}
	c.good = c.good || good && seen > 0
}

// judge looks at one running instance.
func (c *identityCheck) judge(s sight, l *look) bool {
	at := s.state
	switch {
	case filepath.Clean(at.Dir) != filepath.Clean(c.release.Dir):
		c.fail(finding{reason: fmt.Sprintf("%s does not run from release %s but from %s", s.name, c.release.Number, clean(at.Dir))})
		return false
	case at.StartedAt.Before(c.release.CreatedAt.Add(-clockGrain)):
		c.fail(finding{reason: fmt.Sprintf("%s was started at %s, before release %s was made", s.name, at.StartedAt.UTC().Format(time.TimeOnly), c.release.Number)})
		return false
	case s.instance.Addr != "" && !at.Listening:
		c.deaf[s.name]++
		if c.deaf[s.name] >= patience || l.final && l.bake == 0 {
			c.fail(finding{reason: fmt.Sprintf("%s does not listen at %s itself", s.name, s.instance.Addr)})
		}
		return false
	}
	c.deaf[s.name] = 0
	c.detail = fmt.Sprintf("release %s, process %d since %s", c.release.Number, at.PID, at.StartedAt.UTC().Format(time.TimeOnly))
	if s.instance.Addr != "" {
		c.detail += ", listening at " + s.instance.Addr
	}
	return true
}

func (c *identityCheck) finding() finding {
	open := false
	for _, n := range c.deaf {
		open = open || n > 0
	}
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = f.reason, weightIdentity
		return f
	case !c.good:
		return finding{outcome: deploy.OutcomeNoData, detail: "no instance was seen running as it should yet", open: open}
	}
	return finding{outcome: deploy.OutcomePass, detail: c.detail, open: open}
}

// revisionCheck asks whether a production elsewhere says that it runs the candidate's revision.
type revisionCheck struct {
	sticky
	inARow int // looks at which it did not
	good   int
	last   string
}

func (c *revisionCheck) name() string { return "identity" }

func (c *revisionCheck) take(l *look) {
	for _, s := range l.sights {
		if s.revision == "" {
			c.inARow = 0
			c.good++
			continue
		}
		c.inARow++
		c.last = s.revision
		if c.inARow >= patience || l.final && l.bake == 0 {
			c.fail(finding{reason: s.revision})
		}
	}
}

func (c *revisionCheck) finding() finding {
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = f.reason, weightIdentity
		return f
	case c.good == 0:
		return finding{outcome: deploy.OutcomeNoData, detail: c.last, open: c.inARow > 0}
	}
	return finding{outcome: deploy.OutcomePass, detail: fmt.Sprintf("it answered with the revision %s", times(c.good)), open: c.inARow > 0}
}
