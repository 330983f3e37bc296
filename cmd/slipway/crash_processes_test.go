package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running process that belongs to a data directory, by its command line, its folder or its
// cgroup.
type process struct {
	pid    int
	parent int
	line   string // its command line
	box    string // the sandbox it is in, "" for none
}

// processes lists those of the world's data directory. A process that has ended and was not reaped yet
// is none.
func (w *crashWorld) processes() []process {
	group := "/" + w.group() + "/"
	entries, _ := os.ReadDir("/proc")
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if len(line) == 0 {
			continue
		}
		p := process{pid: pid, line: strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")}
		status, _ := os.ReadFile(filepath.Join(dir, "status"))
		for line := range strings.Lines(string(status)) {
			if parent, found := strings.CutPrefix(line, "PPid:"); found {
				p.parent, _ = strconv.Atoi(strings.TrimSpace(parent))
			}
		}
		cgroups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		for line := range strings.Lines(string(cgroups)) {
			if _, name, found := strings.Cut(strings.TrimSpace(line), group); found {
				p.box = name
			}
		}
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		if p.box != "" || strings.Contains(p.line, w.data) || strings.HasPrefix(cwd, w.data) {
			all = append(all, p)
		}
	}
	return all
}

// group is the name of the folder of the server's cgroups.
func (w *crashWorld) group() string {
	sum := sha256.Sum256([]byte(w.data))
	return "slipway-" + hex.EncodeToString(sum[:4])
}

// boxes are the names of the sandboxes that have a cgroup, whether a process is in it or not. Cgroups of
// version 1 have a tree for each controller.
func (w *crashWorld) boxes() []string {
	var all []string
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		found, _ := filepath.Glob(filepath.Join(root, w.group(), "*"))
		for _, dir := range found {
			if info, err := os.Stat(dir); err == nil && info.IsDir() && filepath.Base(dir) != "server" { // the server's own, with version 2
				all = append(all, filepath.Base(dir))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// role says what a process is: server, router, keeper, instance, or what else belongs to the data
// directory.
func (p process) role() string {
	for _, role := range []string{"serve", "router", "keeper"} {
		if strings.Contains(p.line, "slipway "+role+" ") || strings.Contains(p.line, "slipway -data ") && strings.Contains(p.line, " "+role) {
			return role
		}
	}
	if strings.HasPrefix(p.box, "visited.") && strings.Contains(p.box, ".web.") && !strings.Contains(p.line, "bwrap") {
		return "instance"
	}
	return "other"
}

// state is the letter that the kernel gives a process's state, 0 for none.
func state(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), ") ")
	if !ok || rest == "" {
		return 0
	}
	return rest[0]
}

// killAll ends every process of the data directory, as a power cut does. Whatever starts meanwhile, too.
func (w *crashWorld) killAll() error {
	return until(20*time.Second, func() error {
		left := w.processes()
		for _, p := range left {
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
		if len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}
