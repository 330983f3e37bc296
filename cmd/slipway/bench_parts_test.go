//go:build bench

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Parts that are measured where they live, by Go benchmarks of their packages.

// benchSandbox compares the start of a sandbox with that of bubblewrap alone.
func benchSandbox(t *testing.T, p *place, r *report) {
	m := goBenchmark(t, p, "./deploy/sandbox", "BenchmarkStart", *benchRounds*10)
	s := r.section("A sandbox", "a run of /bin/true", "takes", "ratio", "goal")
	s.note("With limits, seccomp filter and cgroups, until all its processes are gone; beside it bubblewrap alone, given the same arguments (deploy/sandbox, BenchmarkStart).")
	s.row("in the sandbox", milliseconds(m, "sandbox"), m.ratio("ratio"), atMost(m["ratio"], 1.2, ""))
	s.row("bubblewrap", milliseconds(m, "bubblewrap"), "", "")
}

// benchRouter compares the router with other proxies.
func benchRouter(t *testing.T, p *place, r *report) {
	m := goBenchmark(t, p, "./deploy/traffic", "BenchmarkRouter", max(*benchRounds/2, 1))
	s := r.section("The router", "requests over 32 kept connections", "a second", "the router against it", "goal")
	s.note("Client, proxy and app share the machine's cores. Each proxy is a process of its own, and they take turns (deploy/traffic, BenchmarkRouter).")
	s.row("through the router", m.spread("router-req/s"), "", "")
	s.row("a plain `httputil.ReverseProxy`", m.spread("plain-req/s"), m.ratio("x-plain"), atLeast(m["x-plain"], 1, ""))
	s.row("the same, its transport and buffers tuned like the router's", m.spread("tuned-req/s"), m.ratio("x-tuned"), "")
	if _, ok := m["x-nginx"]; ok {
		s.row("nginx, with kept connections to the app", m.spread("nginx-req/s"), m.ratio("x-nginx"), "")
	} else {
		s.row("nginx", "not measured: it is not installed", "", "")
	}
	s.row("no proxy", m.spread("direct-req/s"), "", "")
}

// reported is what a Go benchmark reports, by unit. Beside each of a benchmark that is run here there are
// those of its 10th and 90th percentile.
type reported map[string]float64

func (m reported) spread(unit string) string {
	return fmt.Sprintf("%.0f (%.0f–%.0f)", m[unit], m["p10-"+unit], m["p90-"+unit])
}

func (m reported) ratio(unit string) string {
	return ratio{m[unit], m["p10-"+unit], m["p90-"+unit]}.String()
}

func milliseconds(m reported, name string) string {
	unit := "ms/" + name
	return fmt.Sprintf("%s ms (%s–%s)", digits(m[unit]), digits(m["p10-"+unit]), digits(m["p90-"+unit]))
}

var metricPattern = regexp.MustCompile(`([0-9.e+]+) ([^\s]+)`)

// goBenchmark runs one benchmark so many times and returns its metrics.
func goBenchmark(t *testing.T, p *place, pkg, name string, times int) reported {
	t.Helper()
	out := p.run(t, "../..", "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", fmt.Sprintf("%dx", times), pkg)
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		m := reported{}
		for _, found := range metricPattern.FindAllStringSubmatch(line, -1) {
			if v, err := strconv.ParseFloat(found[1], 64); err == nil {
				m[found[2]] = v
			}
		}
		return m
	}
	t.Fatalf("%s of %s reported nothing:\n%s", name, pkg, out)
	return nil
}
