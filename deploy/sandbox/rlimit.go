package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// openFiles is how many descriptors a process may have: what most programs ask for at most, and far
// below what would exhaust the kernel.
const openFiles = 65536

// lockedMemory is how much a process may keep from being swapped: the kernel's own default.
const lockedMemory = 8 << 20

// setRlimits sets the limits that the kernel keeps per process on pid, which runs as uid and gid; its
// children inherit them. The calling goroutine is locked to its thread.
func setRlimits(pid, uid, gid int, l Limits) error {
	err := tryRlimits(pid, l)
	if !errors.Is(err, unix.EPERM) || os.Geteuid() != 0 {
		return err
	}
	// Root without CAP_SYS_RESOURCE, as in a container, may do this only to processes of its real user.
	return withRealID(uid, gid, func() error { return tryRlimits(pid, l) })
}

func tryRlimits(pid int, l Limits) error {
	var files unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &files); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	limits := map[int]uint64{
		unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: min(openFiles, files.Max),
		unix.RLIMIT_NICE: 0, unix.RLIMIT_RTPRIO: 0, // whatever the server may do
	}
	var locked unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_MEMLOCK, nil, &locked); err != nil {
		return fmt.Errorf("reading the limit of locked memory: %w", err)
	}
	limits[unix.RLIMIT_MEMLOCK] = min(lockedMemory, locked.Max)
	if l.FileSize > 0 {
		limits[unix.RLIMIT_FSIZE] = uint64(l.FileSize)
	}
	for resource, value := range limits {
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("setting resource limit %d: %w", resource, err)
		}
	}
	return nil
}

// withRealID runs f while this thread's real user and group are uid and gid, its effective ones, and with
// them its rights, unchanged. A thread that cannot be changed back stays locked and so ends with its
// goroutine.
func withRealID(uid, gid int, f func() error) error {
	runtime.LockOSThread()
	if err := setRealID(uid, gid); err != nil {
		return err
	}
	err := f()
	if back := setRealID(os.Geteuid(), os.Getegid()); back != nil {
		return errors.Join(err, back)
	}
	runtime.UnlockOSThread()
	return err
}

// setRealID changes this thread only, which is why it makes the system calls itself.
func setRealID(uid, gid int) error {
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), keep, keep); errno != 0 {
		return fmt.Errorf("setting a thread's real group: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), keep, keep); errno != 0 {
		return fmt.Errorf("setting a thread's real user: %w", errno)
	}
	return nil
}
