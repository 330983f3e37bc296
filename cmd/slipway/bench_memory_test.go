//go:build bench

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// memory is what processes hold, in MiB.
type memory struct{ resident, private float64 }

// memoryOf adds up processes, by /proc/PID/smaps_rollup (proc(5)).
func memoryOf(t *testing.T, pids ...int) memory {
	t.Helper()
	var sum memory
	for _, pid := range pids {
		f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var name string
			var kib float64
			if _, err := fmt.Sscan(lines.Text(), &name, &kib); err != nil {
				continue
			}
			switch {
			case name == "Rss:":
				sum.resident += kib / 1024
			case strings.HasPrefix(name, "Private_") && name != "Private_Hugetlb:":
				sum.private += kib / 1024
			}
		}
	}
	return sum
}

func (s *section) memory(what string, m memory, of int) {
	s.row(what, fmt.Sprintf("%s MiB", digits(m.resident/float64(of))), fmt.Sprintf("%s MiB", digits(m.private/float64(of))))
}

// benchMemory measures the server with many apps, each deployed, beside what it took when it had done
// nothing yet.
func benchMemory(t *testing.T, p *place, r *report) {
	var trees []*tree
	for i := range *benchApps {
		trees = append(trees, p.newApp(t, fmt.Sprintf("app%d", i), benchManifest))
	}
	busy := make(chan bool, 8)
	var all sync.WaitGroup
	for _, w := range trees {
		all.Go(func() {
			busy <- true
			defer func() { <-busy }()
			w.push("slipway")
		})
	}
	all.Wait()
	p.settled(t, *benchApps)
	keepers := p.processes("keeper")
	s := r.section("Memory", "process", "resident", "of it private")
	s.note("Resident memory counts the program's text, which its processes share, in each of them. What an app itself takes is not counted.")
	s.memory("server, just started", p.idle[0], 1)
	s.memory(fmt.Sprintf("server, after all of the above, with %d apps", *benchApps), memoryOf(t, p.server.Process.Pid), 1)
	s.memory("router, just started", p.idle[1], 1)
	s.memory(fmt.Sprintf("router, with %d apps", *benchApps), memoryOf(t, p.processes("router")...), 1)
	s.memory(fmt.Sprintf("keeper of an instance, the mean of %d", len(keepers)), memoryOf(t, keepers...), len(keepers))
}
