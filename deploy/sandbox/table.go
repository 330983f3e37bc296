package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// table is the host's process table at one moment: what there is to go by where there is no cgroup.
type table struct {
	processes map[int]entry
	children  map[int][]int
}

// entry is a process in the table.
type entry struct {
	threads int
	cpu     time.Duration // its own and its reaped children's
}

// clockTick is the unit of times in /proc, USER_HZ, which is 100 on every architecture that Linux has.
const clockTick = 10 * time.Millisecond

func readTable() (table, error) {
	t := table{processes: map[int]entry{}, children: map[int][]int{}}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return t, fmt.Errorf("reading the process table: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		if parent, p, ok := parseStat(b); ok {
			t.processes[pid] = p
			t.children[parent] = append(t.children[parent], pid)
		}
	}
	return t, nil
}

// parseStat reads /proc/PID/stat, see proc(5). The name, in parentheses, may hold anything.
func parseStat(b []byte) (parent int, p entry, ok bool) {
	_, rest, found := bytes.Cut(b[max(bytes.LastIndexByte(b, ')'), 0):], []byte(") "))
	fields := strings.Fields(string(rest)) // from field 3, state
	if !found || len(fields) < 18 || fields[0] == "Z" {
		return 0, entry{}, false
	}
	number := func(field int) int { n, _ := strconv.Atoi(fields[field-3]); return n }
	ticks := number(14) + number(15) + number(16) + number(17)
	return number(4), entry{threads: number(20), cpu: time.Duration(ticks) * clockTick}, true
}

// tree returns root and everything below it that is alive.
func (t table) tree(root int) []int {
	var pids []int
	for todo := []int{root}; len(todo) > 0; todo = todo[1:] {
		if _, alive := t.processes[todo[0]]; alive {
			pids = append(pids, todo[0])
		}
		todo = append(todo, t.children[todo[0]]...)
	}
	return pids
}

// usage sums up what pids use.
func (t table) usage(pids []int) (u Usage, threads int) {
	u.PIDs = pids
	for _, pid := range pids {
		p := t.processes[pid]
		threads += p.threads
		u.CPU += p.cpu
		u.Memory += privateMemory(pid)
	}
	u.MaxMemory = u.Memory
	return u, threads
}

// privateMemory returns a process's resident bytes that no file or shared mapping backs.
func privateMemory(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(fields[1], 10, 64)
	shared, _ := strconv.ParseInt(fields[2], 10, 64)
	return max(resident-shared, 0) * int64(os.Getpagesize())
}

// tagged returns the processes that carry tag: bubblewrap's by their name, those of ModeNone and their
// children by a variable of their environment.
func (t table) tagged(tag string) []int {
	var pids []int
	for pid := range t.processes {
		if processTag(pid) == tag {
			pids = append(pids, pid)
		}
	}
	return pids
}

// tagVariable is the environment variable that marks processes in ModeNone.
const tagVariable = "SANDBOX_NAME="

// processTag returns the tag of a process of ours. A process in a pid namespace of its own may call
// itself what it likes, so only bubblewrap's own, outside, is believed.
func processTag(pid int) string {
	dir := fmt.Sprintf("/proc/%d", pid)
	ours, _ := os.Readlink("/proc/self/ns/pid")
	if theirs, err := os.Readlink(dir + "/ns/pid"); err != nil || theirs != ours {
		return ""
	}
	command, _ := os.ReadFile(dir + "/cmdline")
	first, rest, _ := bytes.Cut(command, []byte{0})
	if second, _, _ := bytes.Cut(rest, []byte{0}); bytes.Equal(second, []byte("--args")) {
		return string(first)
	}
	environ, _ := os.ReadFile(dir + "/environ")
	for e := range bytes.SplitSeq(environ, []byte{0}) {
		if value, found := bytes.CutPrefix(e, []byte(tagVariable)); found {
			return string(value)
		}
	}
	return ""
}
