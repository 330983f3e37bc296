//go:build bench

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
)

// benchTree measures pushes of a large tree of which one file has changed.
func benchTree(t *testing.T, p *place, r *report) {
	p.slipway(t, "app", "create", "tree")
	w := p.newTree(t, "tree", benchManifest)
	fastImport(t, p, w.dir, "refs/heads/large", *benchFiles, 400, [2]string{"slipway.toml", benchManifest})
	w.git("checkout", "-q", "large")
	w.git("branch", "-M", "main")
	w.git("remote", "add", "slipway", p.url("tree"))
	w.push("slipway")
	first := p.records(t)
	var whole, checkout, release, rest figures
	for range 3 {
		w.commit()
		p.settled(t, 1)
		p.rested(t)
		begin := time.Now()
		w.push("slipway")
		whole.add(time.Since(begin))
		d := p.records(t)
		stages := d[last(d)].stages
		checkout.add(stages[deploy.StageCheckout])
		release.add(stages[deploy.StageRelease])
		rest.add(stages[deploy.StageBuild] + stages["test.unit"])
	}
	s := r.section(fmt.Sprintf("A tree of %d files", *benchFiles), "", "first push", "one file changed")
	s.note("Of 400 bytes each, in 1000 to a folder. The first push holds all of them, the others one more commit each, when the server has made the tree ready that the next checkout begins with (see deploy/checkout). A push that comes earlier waits for that.")
	at := first[last(first)].stages
	seconds := func(d time.Duration) string { return digits(float64(d)/1e6) + " ms" }
	s.row("stage checkout", seconds(at[deploy.StageCheckout]), checkout.String())
	s.row("stages build and test, both `true`", seconds(at[deploy.StageBuild]+at["test.unit"]), rest.String())
	s.row("stage release", seconds(at[deploy.StageRelease]), release.String())
	s.row("the whole `git push`", "", whole.String())
	p.removeApp(t, "tree")
	p.settled(t, 0)
}

// rested waits until the server has nothing to do: it prepares the next checkout after a push.
func (p *place) rested(t *testing.T) {
	t.Helper()
	var before time.Duration
	var since time.Time
	err := until(time.Minute, func() error {
		switch now := p.spent(t); {
		case now-before > 10*time.Millisecond || p.busy():
			before, since = now, time.Now()
		case time.Since(since) > time.Second:
			return nil
		}
		return errors.New("the server is still at work")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// spent is the processor time that the server has used (proc_pid_stat(5)).
func (p *place) spent(t *testing.T) time.Duration {
	t.Helper()
	stat := statOf(fmt.Sprintf("/proc/%d/stat", p.server.Process.Pid))
	if stat == nil {
		t.Fatal("the server has ended")
	}
	user, _ := strconv.ParseInt(stat[11], 10, 64)
	system, _ := strconv.ParseInt(stat[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // clock ticks, of which a second has 100
}

// busy tells whether the server waits for the disk or has git at work; one that moves refs stays for a while.
func (p *place) busy() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.server.Process.Pid))
	for _, thread := range threads {
		if stat := statOf(thread); stat != nil && stat[0] == "D" {
			return true
		}
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		stat := statOf(filepath.Join("/proc", e.Name(), "stat"))
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if stat != nil && stat[1] == strconv.Itoa(p.server.Process.Pid) && !strings.Contains(string(line), "update-ref") && strings.Contains(string(line), "git") {
			return true
		}
	}
	return false
}

// statOf returns what follows the name in a stat of a process or thread; nil if it has ended.
func statOf(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}
