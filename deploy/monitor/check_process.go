package monitor

import (
	"fmt"
	"strconv"
	"time"

	"slipway/deploy"
)

// restartsCheck asks whether every process stays up. A process that ended counts at once, not only
// when it runs again.
type restartsCheck struct {
	sticky
	allowed int
	most    int
	seen    bool
}

func (c *restartsCheck) name() string { return "restarts" }

func (c *restartsCheck) take(l *look) {
	for _, s := range l.sights {
		if !s.inspected {
			continue
		}
		c.seen = true
		ends := s.state.Restarts
		if !s.state.Running {
			ends++
		}
		c.most = max(c.most, ends)
		if ends > c.allowed {
			c.fail(finding{reason: c.blame(s, ends)})
		}
	}
}

func (c *restartsCheck) blame(s sight, ends int) string {
	how := ""
	if s.state.LastExit != "" {
		how = " (" + clean(s.state.LastExit) + ")"
	}
	if c.allowed == 0 && ends == 1 {
		return fmt.Sprintf("%s ended by itself%s", s.name, how)
	}
	return fmt.Sprintf("%s ended by itself %s%s, at most %s allowed", s.name, times(ends), how, times(c.allowed))
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

func (c *restartsCheck) finding() finding {
	detail := fmt.Sprintf("%d restarts, at most %d", c.most, c.allowed)
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = detail, weightRestarts
		return f
	case !c.seen:
		return noData("no process was seen yet")
	}
	return pass(detail)
}

// memoryCheck asks whether an instance's processes stay below an absolute limit.
type memoryCheck struct {
	sticky
	allowed int64 // 0: none
	most    int64
	last    int64 // of the largest instance at the latest look
	seen    bool
}

func (c *memoryCheck) name() string { return "memory" }

func (c *memoryCheck) take(l *look) {
	c.last = 0
	for _, s := range l.sights {
		if !s.inspected || !s.state.Running {
			continue
		}
		c.seen = true
		c.most = max(c.most, s.state.Memory)
		c.last = max(c.last, s.state.Memory)
		if c.allowed > 0 && s.state.Memory > c.allowed {
			c.fail(finding{reason: fmt.Sprintf("%s uses %s of memory, at most %s allowed", s.name, mebibytes(s.state.Memory), mebibytes(c.allowed))})
		}
	}
}

func (c *memoryCheck) finding() finding {
	detail := mebibytes(c.most) + " at most so far, "
	if c.allowed > 0 {
		detail += mebibytes(c.allowed) + " allowed"
	} else {
		detail += "no limit asked for"
	}
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = detail, weightMemory
		return f
	case !c.seen:
		return noData("no process was seen yet")
	}
	return pass(detail)
}

func (c *memoryCheck) reading() (deploy.Reading, bool) {
	return deploy.Reading{Check: c.name(), Value: float64(c.last), Limit: float64(c.allowed)}, c.last > 0
}

func mebibytes(n int64) string {
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', precision(n), 64) + " MiB"
}

func precision(n int64) int {
	if n < 10<<20 && n%(1<<20) != 0 {
		return 1
	}
	return 0
}

// leastCPUTime is for how long the use of CPU must be known before its average says anything.
const leastCPUTime = time.Second

// cpuCheck asks whether an instance uses at most so many cores on average over the watch.
type cpuCheck struct {
	sticky
	allowed float64 // 0: no limit
	first   map[string]time.Duration
	most    float64
	known   time.Duration
}

func (c *cpuCheck) name() string { return "cpu" }

func (c *cpuCheck) take(l *look) {
	if c.first == nil {
		c.first = map[string]time.Duration{}
	}
	most := 0.0
	for _, s := range l.sights {
		if !s.inspected {
			continue
		}
		begun, seen := c.first[s.name]
		if !seen {
			c.first[s.name] = l.elapsed
			continue
		}
		known := l.elapsed - begun
		if known <= 0 {
			continue
		}
		c.known = max(c.known, known)
		cores := s.cpu.Seconds() / known.Seconds()
		most = max(most, cores)
		c.judge(l, s, cores, known, begun)
	}
	c.most = most
}

// judge fails an instance that was over the limit at the end, or that has already used what it may
// use until then.
func (c *cpuCheck) judge(l *look, s sight, cores float64, known, begun time.Duration) {
	whole := max(l.bake-begun, known)
	over := s.cpu.Seconds() > c.allowed*whole.Seconds()
	if c.allowed > 0 && known >= leastCPUTime && over {
		c.fail(finding{reason: fmt.Sprintf("%s used %.2f cores on average over %s, at most %s allowed", s.name, cores, seconds(known), cores3(c.allowed))})
	}
}

func cores3(f float64) string { return strconv.FormatFloat(f, 'g', 3, 64) }

func (c *cpuCheck) finding() finding {
	detail := fmt.Sprintf("%.2f cores on average over %s, ", c.most, seconds(c.known))
	if c.allowed > 0 {
		detail += cores3(c.allowed) + " allowed"
	} else {
		detail += "no limit asked for"
	}
	switch {
	case c.failed != nil:
		f := *c.failed
		f.detail, f.weight = detail, weightCPU
		return f
	case c.known < leastCPUTime:
		return noData("less than a second was seen")
	}
	return finding{outcome: deploy.OutcomePass, detail: detail}
}

func (c *cpuCheck) reading() (deploy.Reading, bool) {
	return deploy.Reading{Check: c.name(), Value: c.most, Limit: c.allowed}, c.known > 0
}
