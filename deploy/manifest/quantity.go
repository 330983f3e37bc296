package manifest

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// minInterval keeps a watch from being an attack on the app.
const minInterval = 10 * time.Millisecond

var sizePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)

func (r *reader) integer(dst *int, least int) func(*node) {
	return func(n *node) {
		want := fmt.Sprintf("expected a whole number of at least %d, without quotes", least)
		i, ok := n.value.(int64)
		if !ok {
			r.wrong(n, want)
			return
		}
		if i < int64(least) || i > math.MaxInt32 {
			r.wrong(n, strings.TrimSuffix(want, ", without quotes"))
			return
		}
		*dst = int(i)
	}
}

// number returns a value that may be written with or without a fraction.
func number(n *node) (float64, bool) {
	switch v := n.value.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

func (r *reader) cores(dst *float64) func(*node) {
	return func(n *node) {
		f, ok := number(n)
		if !ok || f <= 0 || f > 4096 {
			r.wrong(n, "expected a number of cores above 0, such as 0.5 or 2")
			return
		}
		*dst = f
	}
}

func (r *reader) share(dst *float64) func(*node) {
	return func(n *node) {
		f, ok := number(n)
		if !ok || f < 0 || f > 1 {
			r.wrong(n, "expected a share between 0 and 1, such as 0.05 for 5%")
			return
		}
		*dst = f
	}
}

func (r *reader) duration(dst *time.Duration, least time.Duration) func(*node) {
	return func(n *node) {
		if f, ok := number(n); ok {
			r.wrong(n, fmt.Sprintf(`expected a duration in quotes with its unit, such as "%vs"`, math.Abs(f)))
			return
		}
		const want = `expected a duration such as "250ms", "30s", "10m" or "1h30m"`
		s, ok := r.plain(n, want)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			r.wrong(n, durationHint(s, want))
			return
		}
		if d < least || d < 0 {
			r.wrong(n, "expected at least "+formatDuration(max(least, 0)))
			return
		}
		*dst = d
	}
}

var spelledDuration = regexp.MustCompile(`^([0-9]+) ?(days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)?$`)

// durationHint understands durations as people write them elsewhere.
func durationHint(s, want string) string {
	m := spelledDuration.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return want
	}
	count, err := strconv.Atoi(m[1])
	if err != nil || count > 100_000 {
		return want
	}
	switch {
	case m[2] == "":
		return fmt.Sprintf(`expected a unit too, such as "%ds"`, count)
	case m[2][0] == 'd':
		return fmt.Sprintf(`write "%dh"`, 24*count)
	}
	return fmt.Sprintf(`write "%d%c"`, count, m[2][0])
}

var sizeUnits = map[string]float64{
	"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}

func (r *reader) size(dst *int64) func(*node) {
	return func(n *node) {
		if f, ok := number(n); ok {
			r.wrong(n, fmt.Sprintf(`expected a size in quotes with its unit, such as "%vMiB"`, math.Abs(f)))
			return
		}
		const want = `expected a size such as "512MiB", "1GiB" or "64MB"`
		s, ok := r.plain(n, want)
		if !ok {
			return
		}
		m := sizePattern.FindStringSubmatch(s)
		if m == nil {
			r.wrong(n, want)
			return
		}
		unit, known := sizeUnits[strings.ToUpper(m[2])]
		if !known {
			r.wrong(n, sizeHint(m[1], m[2], want))
			return
		}
		f, err := strconv.ParseFloat(m[1], 64)
		if bytes := math.Round(f * unit); err == nil && bytes >= 1 && bytes <= 1<<53 {
			*dst = int64(bytes)
			return
		}
		r.wrong(n, "expected a size between 1B and 8192TiB")
	}
}

func sizeHint(count, unit, want string) string {
	switch strings.ToUpper(unit) {
	case "K", "M", "G", "T":
		u := strings.ToUpper(unit)
		return fmt.Sprintf(`write "%s%siB" (times 1,024) or "%s%sB" (times 1,000)`, count, u, count, u)
	case "":
		return fmt.Sprintf(`expected a unit too, such as "%sMiB"`, count)
	}
	return want
}
