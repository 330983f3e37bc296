//go:build bench

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The benchmarks that make bench runs. They measure the program as it is built, with the real git and
// ssh, against what stands beside it on the same machine. Whatever is compared takes turns in one run,
// so that a busy machine slows both.
//
//	go test -tags bench -run TestBench ./cmd/slipway               all of it, prints the tables
//	go test -tags bench -run TestBench/switch ./cmd/slipway        one part
//	… -args -out FILE                                              write the tables, if all parts ran
var (
	benchOut      = flag.String("out", "", "the file to write the tables to")
	benchRounds   = flag.Int("rounds", 20, "how often each of two is measured that are compared")
	benchRequests = flag.Int("requests", 200_000, "requests during the switches")
	benchFiles    = flag.Int("files", 100_000, "files of the large tree")
	benchApps     = flag.Int("apps", 50, "apps when the memory is measured")
)

func TestBench(t *testing.T) {
	began := time.Now()
	p := newPlace(t)
	r := &report{machine: machine(t, p)}
	parts := []struct {
		name string
		run  func(*testing.T, *place, *report)
	}{
		{"push", benchPush},
		{"side-by-side", benchSideBySide},
		{"fetch", benchFetch},
		{"sandbox", benchSandbox},
		{"switch", benchSwitch},
		{"router", benchRouter},
		{"tree", benchTree},
		{"memory", benchMemory},
		{"web", benchWeb},
		{"records", benchRecords},
		{"pages", benchPages},
		{"answers", benchAnswers},
	}
	ran := 0
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			ran++
			begin, from := time.Now(), len(r.sections)
			part.run(t, p, r)
			fmt.Printf("\n(%s: %s)\n", part.name, time.Since(begin).Round(time.Second))
			for _, s := range r.sections[from:] {
				fmt.Print(s.markdown())
			}
		})
	}
	r.took = time.Since(began)
	if *benchOut == "" || ran < len(parts) || t.Failed() {
		return
	}
	if err := os.WriteFile(*benchOut, r.markdown(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// report is what is printed and written.
type report struct {
	machine  [][2]string
	sections []*section
	took     time.Duration
}

// section is a table with what has to be known to read it.
type section struct {
	title  string
	header []string
	rows   [][]string
	notes  []string
}

func (r *report) section(title string, header ...string) *section {
	s := &section{title: title, header: header}
	r.sections = append(r.sections, s)
	return s
}

func (s *section) row(cells ...string) { s.rows = append(s.rows, cells) }

func (s *section) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *section) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", s.title)
	for _, n := range s.notes {
		fmt.Fprintf(&b, "%s\n\n", n)
	}
	if len(s.rows) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(s.header, " | "), strings.Repeat(" --- |", len(s.header)))
	for _, row := range s.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

const introduction = `# Benchmarks

` + "`make bench`" + ` measures all of this anew and writes this page. It installs what it compares with (Debian's
openssh-server and nginx; installing them does not start them, but where systemd runs they are enabled for the
next boot), needs root to be compared with OpenSSH, uses the loopback and free ports only, and removes what it
made. ` + "`make bench ARGS=\"-requests 1000000\"`" + ` sends a million
requests during the switches; ` + "`-rounds`, `-files` and `-apps`" + ` change the other counts.

Where two are compared they take turns, A B A B, in one run. A figure is the median, with the 10th to the 90th
percentile in brackets. A ratio is that of the medians, with the spread of the ratios of single turns. ✓ and ✗
say whether the goal was met.

`

func (r *report) markdown() []byte {
	var b bytes.Buffer
	b.WriteString(introduction)
	b.WriteString("| measured on | |\n| --- | --- |\n")
	for _, m := range append(r.machine, [2]string{"the whole run took", fmt.Sprintf("%s, with %d rounds", r.took.Round(time.Second), *benchRounds)}) {
		fmt.Fprintf(&b, "| %s | %s |\n", m[0], m[1])
	}
	for _, s := range r.sections {
		b.WriteString(s.markdown())
	}
	return b.Bytes()
}

// machine says what the figures were measured on.
func machine(t *testing.T, p *place) [][2]string {
	t.Helper()
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Fields(string(load))[0]
	busy := "; at rest"
	var value float64
	if _, err := fmt.Sscan(before, &value); err == nil && value > 0.7 {
		busy = "; **the machine was busy with other work**, so read the ratios and expect better times at rest"
	}
	return [][2]string{
		{"date", time.Now().UTC().Format("2006-01-02")},
		{"processor", fmt.Sprintf("%d cores, %s", runtime.NumCPU(), firstMatch("/proc/cpuinfo", `(?m)^model name\s*: (.*)$`))},
		{"memory", firstMatch("/proc/meminfo", `(?m)^MemTotal:\s*(.*)$`)},
		{"kernel", said("uname", "-sr")},
		{"file system", said("stat", "-f", "-c", "%T", p.dir)},
		{"programs", strings.Join([]string{said("git", "version"), said("bwrap", "--version"), sshVersion(), runtime.Version()}, ", ")},
		{"load before", before + busy},
	}
}

func firstMatch(file, pattern string) string {
	b, _ := os.ReadFile(file)
	if m := regexp.MustCompile(pattern).FindSubmatch(b); m != nil {
		return string(m[1])
	}
	return "unknown"
}

func said(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return filepath.Base(name) + ": " + err.Error()
	}
	return strings.TrimSpace(string(out))
}

func sshVersion() string {
	version, _, _ := strings.Cut(said("ssh", "-V"), ",")
	return version
}
