package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands of scripts that are about builds which do harm:
//
//	harm TEXT   commits everything, and pushes it: the pusher reads TEXT; meanwhile the server's memory and
//	            disk are bounded, and afterwards nothing is left, whatever the build did
//	unharmed    a harmless push of the same tree is accepted

// Bounds while a build does harm whose limits are 64 MiB of disk. What is written between two looks, and
// what a log may hold (64 MiB), comes on top.
const (
	mostMemory  = 256 << 20 // of the server process, at its highest
	mostDisk    = 768 << 20 // of the data directory, at its highest, beyond what it was before
	mostLeft    = 72 << 20  // of it, afterwards: the log
	mostToldOff = 32 << 10  // of what a pusher is told
)

func harm(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: harm TEXT")
	}
	s := theServer(ts)
	before := blocksOf(s.env.Getenv("DATA"))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	ts.Check(err)
	ts.Check(ts.Exec("git", "add", "."))
	ts.Check(ts.Exec("git", "commit", "-q", "--allow-empty", "-m", "Do harm"))
	said, highest := watched(startPush(ts), s.env.Getenv("DATA"))
	ts.Logf("%s", said[:min(len(said), 4000)])
	if !regexp.MustCompile(args[0]).MatchString(said) || len(said) > mostToldOff {
		ts.Fatalf("%d bytes were said, which should have %q", len(said), args[0])
	}
	grown, left, peak := highest-before, blocksOf(s.env.Getenv("DATA"))-before, s.peakMemory(ts)
	ts.Logf("disk grew by %d MiB, %d MiB are left; the server's memory reached %d MiB", grown>>20, left>>20, peak>>20)
	if grown > mostDisk || left > mostLeft || peak > mostMemory {
		ts.Fatalf("that is too much")
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	ts.Check(err)
	if bytes.Count(after, []byte(s.env.WorkDir)) != bytes.Count(mounts, []byte(s.env.WorkDir)) {
		ts.Fatalf("mounts are left:\n%s", after)
	}
	s.nothingLeft(ts)
}

func unharmed(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Exec("git", "rm", "-q", "--cached", "harm.sh"))
	ts.Check(os.WriteFile(ts.MkAbs("harm.sh"), []byte("true\n"), 0o644))
	harm(ts, false, []string{"accepted: "})
}

// watched waits for the end of a push, and looks how large dir becomes meanwhile.
func watched(wait func() string, dir string) (said string, highest int64) {
	done := make(chan string, 1)
	go func() { done <- wait() }()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case said := <-done:
			return said, max(highest, blocksOf(dir))
		case <-look.C:
			highest = max(highest, blocksOf(dir))
		}
	}
}

// blocksOf is what the files below dir take.
func blocksOf(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return sum
}

func (s *scriptServer) peakMemory(ts *testscript.TestScript) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	ts.Check(err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if found == nil {
		ts.Fatalf("no VmHWM in %s", b)
	}
	kib, err := strconv.ParseInt(string(found[1]), 10, 64)
	ts.Check(err)
	return kib << 10
}

// nothingLeft checks that no step's processes, cgroups, sockets and folders are there any more.
func (s *scriptServer) nothingLeft(ts *testscript.TestScript) {
	data := s.env.Getenv("DATA")
	sum := sha256.Sum256([]byte(data))
	var left []string
	for _, pattern := range []string{
		filepath.Join(data, "apps/*/work/*"),
		"/run/slipway-" + hex.EncodeToString(sum[:4]) + "-[0-9]*",
		filepath.Join(os.TempDir(), "slipway-"+hex.EncodeToString(sum[:4])+"-[0-9]*"),
	} {
		found, err := filepath.Glob(pattern)
		ts.Check(err)
		left = append(left, found...)
	}
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environments {
		env, _ := os.ReadFile(path) // gone by now, or another user's
		if bytes.Contains(env, []byte("HARM="+s.env.WorkDir)) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	group := s.group(ts)
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && strings.Contains(path, "/"+group+"/") && regexp.MustCompile(`^\d+-(build|test)`).MatchString(e.Name()) {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		ts.Fatalf("left: %q", left)
	}
}

// group is the server's folder of cgroups, which its keepers are told.
func (s *scriptServer) group(ts *testscript.TestScript) string {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, _ := os.ReadFile(path)
		args := strings.Split(string(line), "\x00")
		for i, arg := range args {
			if arg == "-group" && bytes.Contains(line, []byte(s.env.WorkDir)) && i+1 < len(args) {
				return args[i+1]
			}
		}
	}
	ts.Fatalf("no keeper runs that would tell the folder of cgroups")
	return ""
}
