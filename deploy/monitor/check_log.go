package monitor

import (
	"fmt"
	"regexp"
)

// logCheck asks whether a new line of the log matches the error pattern.
type logCheck struct {
	sticky
	pattern *regexp.Regexp // nil: none was asked for
	lines   int
	matches int
	seen    bool
}

func (c *logCheck) name() string { return "log" }

func (c *logCheck) take(l *look) {
	for _, s := range l.sights {
		c.seen = c.seen || s.logged
		c.lines += len(s.lines)
		if c.pattern == nil {
			continue
		}
		for _, line := range s.lines {
			if !c.pattern.MatchString(line) {
				continue
			}
			c.matches++
			c.fail(finding{reason: fmt.Sprintf("the log of %s matches the error pattern: %s", s.name, clean(line))})
		}
	}
}

func (c *logCheck) finding() finding {
	detail := fmt.Sprintf("%d new lines, no error pattern asked for", c.lines)
	if c.pattern != nil {
		detail = fmt.Sprintf("%d of %d new lines match the error pattern", c.matches, c.lines)
	}
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = detail, weightLog
		return f
	case !c.seen:
		return noData("no log was seen yet")
	}
	return pass(detail)
}
