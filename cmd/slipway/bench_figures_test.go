//go:build bench

package main

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// figures are what was measured of one thing: milliseconds, if nothing else is said.
type figures []float64

func (f *figures) add(d time.Duration) { *f = append(*f, float64(d)/1e6) }

// quantile of 0.5 is the median.
func (f figures) quantile(q float64) float64 {
	if len(f) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

func (f figures) median() float64 { return f.quantile(0.5) }

// String is "98 ms (91–120)".
func (f figures) String() string {
	return fmt.Sprintf("%s ms (%s–%s)", digits(f.median()), digits(f.quantile(0.1)), digits(f.quantile(0.9)))
}

// digits writes a number so that its three first digits can be read.
func digits(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// ratio compares turns of two.
type ratio struct {
	value, low, high float64
}

func ratioOf(a, b figures) ratio {
	var each figures
	for i := range min(len(a), len(b)) {
		each = append(each, a[i]/b[i])
	}
	return ratio{a.median() / b.median(), each.quantile(0.1), each.quantile(0.9)}
}

func (r ratio) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", r.value, r.low, r.high) }

// atMost and atLeast say a goal and whether it was met.
func atMost(value, goal float64, unit string) string {
	return mark(value <= goal) + " ≤ " + amount(goal) + unit
}

func atLeast(value, goal float64, unit string) string {
	return mark(value >= goal) + " ≥ " + amount(goal) + unit
}

func mark(met bool) string {
	if met {
		return "✓"
	}
	return "✗"
}

func amount(v float64) string {
	if v == 0 || v >= 2 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// contestant is one of those that take turns.
type contestant struct {
	name    string
	prepare func() // not measured; may be nil
	work    func()
}

// takeTurns lets each work once unmeasured and then rounds times, one after the other.
func takeTurns(t *testing.T, rounds int, all ...contestant) map[string]figures {
	t.Helper()
	took := map[string]figures{}
	for round := range rounds + 1 {
		for _, c := range all {
			if c.prepare != nil {
				c.prepare()
			}
			begin := time.Now()
			c.work()
			if round > 0 {
				f := took[c.name]
				f.add(time.Since(begin))
				took[c.name] = f
			}
		}
	}
	return took
}
