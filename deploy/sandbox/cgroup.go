package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is one sandbox's cgroup: with v2 one folder, with v1 one in each controller's hierarchy.
//
// Plain files, because what is needed is seven files of each version, and the two traps of a general
// library (placing by a running manager object, and a list of processes that is silently empty with v1) do
// not exist for who reads cgroup.procs.
type cgroup struct {
	version int
	dirs    map[string]string // as hierarchy.base
	mounts  map[string]cgroupMount
}

// launcherProcesses are bubblewrap's own two in each sandbox, which the command's limit must not pay
// for.
const launcherProcesses = 2

// cpuPeriod is the span over which CPU time is rationed, in microseconds: the kernel's default.
const cpuPeriod = 100_000

func (g *cgroup) file(controller, name string) string {
	if g.version == 2 {
		controller = ""
	}
	dir := g.dirs[controller]
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// main is the folder that tells whether the cgroup exists.
func (g *cgroup) main() string {
	if g.version == 2 {
		return g.dirs[""]
	}
	return g.dirs[pidsController]
}

// folders are the cgroup's, in the order in which they are made; they are removed in the reverse one. So the
// main one is there for as long as any is, and what a kill leaves in between is found again by it.
func (g *cgroup) folders() []string {
	all := []string{g.main()}
	for _, dir := range g.dirs {
		if dir != g.main() {
			all = append(all, dir)
		}
	}
	return all
}

func (g *cgroup) exists() bool {
	_, err := os.Stat(g.main())
	return err == nil
}

// limit sets the limits, except one on CPU where there is no such controller.
func (g *cgroup) limit(l Limits) error {
	type setting struct {
		controller, name, value string
		optional                bool
	}
	var settings []setting
	if l.Processes > 0 {
		settings = append(settings, setting{pidsController, "pids.max", strconv.Itoa(l.Processes + launcherProcesses), false})
	}
	memory, quota := strconv.FormatInt(l.Memory, 10), strconv.Itoa(int(math.Ceil(l.CPU*cpuPeriod)))
	if g.version == 1 {
		if l.Memory > 0 {
			settings = append(settings,
				setting{memoryController, "memory.limit_in_bytes", memory, false},
				setting{memoryController, "memory.memsw.limit_in_bytes", memory, true})
		}
		if l.CPU > 0 {
			settings = append(settings,
				setting{cpuController, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod), true},
				setting{cpuController, "cpu.cfs_quota_us", quota, true})
		}
	} else {
		if l.Memory > 0 {
			settings = append(settings,
				setting{"", "memory.max", memory, false},
				setting{"", "memory.swap.max", "0", true})
		}
		if l.CPU > 0 {
			settings = append(settings, setting{"", "cpu.max", quota + " " + strconv.Itoa(cpuPeriod), true})
		}
	}
	for _, s := range settings {
		if err := writeFile(g.file(s.controller, s.name), s.value); err != nil && (!s.optional || !errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("setting a limit: %w", err)
		}
	}
	return nil
}

// add moves a process in, which must have a single thread and no children to be wholly inside.
func (g *cgroup) add(pid int) error {
	for _, dir := range g.dirs {
		if err := writeFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("moving process %d into its cgroup: %w", pid, err)
		}
	}
	return nil
}

// struck tells how often the memory limit had a process killed, and how often the process limit had
// one refused.
func (g *cgroup) struck() (kills, refusals int64) {
	if g.version == 1 {
		kills = readKey(g.file(memoryController, "memory.oom_control"), "oom_kill")
	} else {
		kills = readKey(g.file("", "memory.events"), "oom_kill")
	}
	return kills, readKey(g.file(pidsController, "pids.events"), "max")
}

// usage reads what the processes in it use. What the kernel does not tell is zero.
func (g *cgroup) usage() (Usage, error) {
	pids, err := g.pids()
	if err != nil {
		return Usage{}, err
	}
	u := g.spent()
	u.PIDs = pids
	if g.version == 1 {
		u.Memory = readNumber(g.file(memoryController, "memory.usage_in_bytes")) -
			readKey(g.file(memoryController, "memory.stat"), "total_inactive_file")
	} else {
		u.Memory = readNumber(g.file("", "memory.current")) - readKey(g.file("", "memory.stat"), "inactive_file")
	}
	u.Memory = max(u.Memory, 0)
	u.MaxMemory = max(u.MaxMemory, u.Memory)
	return u, nil
}

// spent reads what its processes, living or not, have used.
func (g *cgroup) spent() Usage {
	if g.version == 1 {
		return Usage{
			CPU:       time.Duration(readNumber(g.file(acctController, "cpuacct.usage"))),
			MaxMemory: readNumber(g.file(memoryController, "memory.max_usage_in_bytes")),
		}
	}
	return Usage{
		CPU:       time.Duration(readKey(g.file("", "cpu.stat"), "usage_usec")) * time.Microsecond,
		MaxMemory: readNumber(g.file("", "memory.peak")), // since Linux 5.19
	}
}

func (g *cgroup) pids() ([]int, error) { return readPIDs(g.main()) }

// kill sends SIGKILL to every process in it, once. Processes forked meanwhile are missed with v1, so it
// is called until none is left.
func (g *cgroup) kill() error {
	if g.version == 2 {
		err := writeFile(g.file("", "cgroup.kill"), "1")
		if !errors.Is(err, fs.ErrNotExist) {
			return err // since Linux 5.14
		}
	}
	_ = writeFile(g.file(pidsController, "pids.max"), "0") // so that a fork bomb cannot outrun us
	pids, err := g.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		g.killOne(pid)
	}
	return nil
}

// killOne kills the process if it is still a member: its number may have gone to a stranger.
func (g *cgroup) killOne(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if g.holds(pid) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// holds tells whether the process is in this cgroup, by the process's own list of its cgroups.
func (g *cgroup) holds(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false
	}
	group, name := filepath.Split(g.main())
	tail := "/" + filepath.Join(filepath.Base(group), name)
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(strings.TrimSpace(line), tail) {
			return true
		}
	}
	return false
}

// remove deletes the cgroup, trying for as long as patience lasts: it stays busy for a moment after
// its last process.
func (g *cgroup) remove(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for _, dir := range slices.Backward(g.folders()) {
		err := unix.Rmdir(dir)
		for wait := time.Millisecond; errors.Is(err, unix.EBUSY) && time.Now().Before(deadline); wait *= 2 {
			<-time.After(min(wait, 50*time.Millisecond))
			err = unix.Rmdir(dir)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing cgroup %s: %w", dir, err)
		}
	}
	return nil
}

func writeFile(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value)
	return err
}

func readPIDs(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, unix.ENODEV) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing a cgroup's processes: %w", err)
	}
	var pids []int
	for _, field := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// readNumber reads a file that holds one number; 0 if it does not.
func readNumber(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// readKey reads the number after key in a file of "key number" lines; 0 if there is none.
func readKey(path, key string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == key {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}
