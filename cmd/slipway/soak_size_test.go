package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// size is what the server, its router and the keepers take: resident memory in MiB, threads, descriptors.
type size struct {
	at                           time.Time
	server, router, keepers      float64 // keepers: the mean of them
	threads, descriptors, routed int     // routed: descriptors of the router
	count                        int     // of keepers
}

func (z size) String() string {
	return fmt.Sprintf("server %.1f MiB, %d threads, %d descriptors; router %.1f MiB, %d descriptors; %d keepers of %.1f MiB",
		z.server, z.threads, z.descriptors, z.router, z.routed, z.count, z.keepers)
}

func resident(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0 // it has just ended
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

func entries(pid int, what string) int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, what))
	return len(all)
}

func (s *soak) size() size {
	server := s.server.Process.Pid
	z := size{at: time.Now(), server: resident(server), threads: entries(server, "task"), descriptors: entries(server, "fd")}
	for _, p := range s.processes() {
		switch p.role() {
		case "router":
			z.router, z.routed = resident(p.pid), entries(p.pid, "fd")
		case "keeper":
			z.keepers += resident(p.pid)
			z.count++
		}
	}
	z.keepers /= max(1, float64(z.count))
	return z
}

// quiet waits until nothing is in work and replaced releases have ended.
func (s *soak) quiet() size {
	s.t.Helper()
	var z size
	s.must(until(2*time.Minute, func() error {
		if z = s.size(); z.count != len(s.apps) {
			return fmt.Errorf("%d keepers for %d apps", z.count, len(s.apps))
		}
		if out := s.run(s.slipway("status")); strings.Contains(out, "\n  deployment ") {
			return fmt.Errorf("something is in work: %s", out)
		}
		return nil
	}))
	return z
}

// measure takes sizes until the function that it returns is called.
func (s *soak) measure() func() []size {
	stop, done := make(chan struct{}), make(chan []size, 1)
	go func() {
		var all []size
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				all = append(all, s.size())
			case <-stop:
				done <- all
				return
			}
		}
	}()
	return func() []size {
		close(stop)
		return <-done
	}
}

const (
	growth     = 12.0 // MiB that the second half of a run may take more than its first, in the median
	idleMore   = 8    // descriptors and threads that an idle server may have more than at the beginning
	goroutines = 100  // of an idle server, however long it has run
)

// judgeSize wants the server to be as large in the end as in the beginning, and of a long run the second half
// to be as the first.
func (s *soak) judgeSize(before, after size, all []size, span time.Duration) {
	s.t.Helper()
	s.t.Logf("idle before: %s", before)
	s.t.Logf("idle after:  %s", after)
	if after.descriptors > before.descriptors+idleMore || after.routed > before.routed+idleMore {
		s.t.Errorf("descriptors are left open")
	}
	for name, of := range map[string]func(size) float64{
		"server": func(z size) float64 { return z.server }, "router": func(z size) float64 { return z.router }, "keepers": func(z size) float64 { return z.keepers },
	} {
		half := len(all) / 2
		first, second := median(all[:half], of), median(all[half:], of)
		slope := (second - first) / (span.Minutes() / 2)
		s.t.Logf("%s: %.1f MiB in the first half, %.1f MiB in the second: %+.2f MiB a minute", name, first, second, slope)
		if span >= time.Minute && second > first+growth {
			s.t.Errorf("the memory of the %s grows", name)
		}
	}
	s.must(s.server.Process.Signal(syscall.SIGQUIT)) // Go's programs say then what they do, and end
	<-s.ended
	b, err := os.ReadFile(s.log.Name())
	s.must(err)
	n := bytes.Count(b, []byte("\ngoroutine "))
	s.t.Logf("%d goroutines", n)
	if n == 0 || n > goroutines {
		s.t.Errorf("an idle server has %d goroutines", n)
	}
}

func median(all []size, of func(size) float64) float64 {
	if len(all) == 0 {
		return 0
	}
	var values []float64
	for _, z := range all {
		values = append(values, of(z))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
