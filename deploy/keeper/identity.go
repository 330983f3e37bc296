package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Identity names a process for good: the kernel may give its pid away again, but not together with
// its start time within one boot.
type Identity struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"` // clock ticks after the boot: field 22 of /proc/PID/stat
	BootID    string `json:"bootId"`    // of /proc/sys/kernel/random/boot_id
}

// Identify reads the identity of a living process. It fails with an fs.ErrNotExist where there is no
// such process, or only its zombie.
func Identify(pid int) (Identity, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Identity{}, fmt.Errorf("reading the boot id: %w", err)
	}
	start, err := startTime(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, StartTime: start, BootID: strings.TrimSpace(string(boot))}, nil
}

// Alive tells whether that very process still runs. A zombie does not.
func (id Identity) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := Identify(id.PID)
	return err == nil && now == id
}

// Signal sends sig to that very process. It returns os.ErrProcessDone if it is gone. Where the kernel
// has pidfds (Linux 5.3) the pid cannot be recycled between the check and the signal.
func (id Identity) Signal(sig os.Signal) error {
	p, err := os.FindProcess(id.PID)
	if err != nil {
		return fmt.Errorf("finding process %d: %w", id.PID, err)
	}
	defer func() { _ = p.Release() }()
	if !id.Alive() {
		return os.ErrProcessDone
	}
	return p.Signal(sig)
}

// startTime reads field 22 of /proc/PID/stat (proc(5)). The second field is the program's name in
// parentheses and may hold anything, so fields are counted from the last parenthesis.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("reading the start time of process %d: %w", pid, notExist(err))
	}
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("reading the start time of process %d: no program name in %q", pid, stat)
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("reading the start time of process %d: %d fields", pid, len(fields))
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return 0, fmt.Errorf("process %d is a zombie: %w", pid, os.ErrNotExist)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// notExist makes one error of the two ways in which /proc says that a process is gone: no file, and
// ESRCH while reading it.
func notExist(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return os.ErrNotExist
	}
	return err
}
