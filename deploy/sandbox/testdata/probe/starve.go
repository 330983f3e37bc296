package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// starvation are probes that take much of something, or rights by which others get less.
func starvation() map[string]func([]string) error {
	return map[string]func([]string) error{
		"threads":     threads,
		"zombies":     zombies,
		"pipes":       fillPipes,
		"sockets":     fillSockets,
		"memfd":       fillMemfd,
		"shared":      fillShared,
		"empty":       emptyFiles,
		"deep":        fillDeep,
		"descriptors": descriptors,
		"raise":       raise,
		"nice":        func([]string) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -5) },
		"realtime":    realtime,
		"ionice":      ionice,
		"mlock":       lock,
		"oom":         func([]string) error { return os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0) },
		"inotify":     inotify,
		"segment":     segment,
		"queue":       queue,
		"type":        typeIn,
		"link":        func(a []string) error { return os.Link(a[0], a[1]) },
		"open":        func(a []string) error { f, err := os.Open(a[0]); f.Close(); return err },
		"list":        func(a []string) error { e, err := os.ReadDir(a[0]); fmt.Println(len(e)); return err },
	}
}

// threads starts so many threads that stay.
func threads(a []string) error {
	started := make(chan struct{})
	for range number(a[0]) {
		go func() {
			runtime.LockOSThread()
			started <- struct{}{}
			stay()
		}()
	}
	for range number(a[0]) {
		<-started
	}
	return nil
}

// zombies starts so many processes that end, and waits for none.
func zombies(a []string) error {
	for i := range number(a[0]) {
		if err := exec.Command("/bin/true").Start(); err != nil {
			return fmt.Errorf("after %d: %w", i, err)
		}
	}
	return nil
}

// fillPipes keeps so many MiB in pipes of a MiB each.
func fillPipes(a []string) error {
	for range number(a[0]) {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_NONBLOCK); err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, 1<<20); err != nil {
			return err
		}
		for range 256 {
			if _, err := unix.Write(ends[1], make([]byte, 4096)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillSockets keeps so many MiB in sockets that nobody reads.
func fillSockets(a []string) error {
	for left := number(a[0]) << 20; left > 0; {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		for {
			n, err := unix.Write(ends[0], make([]byte, 32<<10))
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				return err
			}
			left -= n
		}
	}
	return nil
}

// fillMemfd writes so many MiB to files that are nowhere.
func fillMemfd(a []string) error {
	fd, err := unix.MemfdCreate("x", 0)
	if err != nil {
		return err
	}
	for range number(a[0]) {
		if _, err := unix.Write(fd, make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	return nil
}

// fillShared touches so many MiB of System V shared memory.
func fillShared(a []string) error {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, number(a[0])<<20, unix.IPC_CREAT|0o600)
	if err != nil {
		return err
	}
	b, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		return err
	}
	if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil {
		return err
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return nil
}

// emptyFiles makes so many files in a folder, all empty.
func emptyFiles(a []string) error {
	for i := range number(a[1]) {
		f, err := os.Create(filepath.Join(a[0], fmt.Sprint(i)))
		if err != nil {
			return err
		}
		f.Close()
	}
	if len(a) > 2 {
		stay()
	}
	return nil
}

// fillDeep writes so many MiB below more folders than a path can name.
func fillDeep(a []string) error {
	if err := os.Chdir(a[0]); err != nil {
		return err
	}
	name := fmt.Sprintf("%0200d", 0)
	for range 40 {
		if err := os.Mkdir(name, 0o755); err != nil {
			return err
		}
		if err := os.Chdir(name); err != nil {
			return err
		}
	}
	return fill(append([]string{"file"}, a[1:]...))
}

// descriptors opens so many, after it has tried to be allowed to.
func descriptors(a []string) error {
	n := uint64(number(a[0]))
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n + 100, Max: n + 100})
	for range n {
		if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
			return err
		}
	}
	return nil
}

// raise lifts a limit of its own.
func raise(a []string) error {
	return unix.Setrlimit(number(a[0]), &unix.Rlimit{Cur: uint64(number(a[1])), Max: uint64(number(a[1]))})
}

func realtime([]string) error {
	return onThread(func() error {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		return unix.SchedSetAttr(0, &attr, 0)
	})
}

func ionice([]string) error {
	const realtimeClass, ofProcess = 1 << 13, 1
	if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ofProcess, 0, realtimeClass); errno != 0 {
		return errno
	}
	return nil
}

// lock keeps so many MiB from being swapped.
func lock(a []string) error {
	b, err := unix.Mmap(-1, 0, number(a[0])<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return unix.Mlock(b)
}

// inotify makes so many watchers; with a second argument it makes as many as it can get and stays.
func inotify(a []string) error {
	for i := range number(a[0]) {
		if _, err := unix.InotifyInit1(0); err != nil {
			if len(a) < 2 {
				return fmt.Errorf("after %d: %w", i, err)
			}
			break
		}
	}
	if len(a) > 1 {
		fmt.Println("ready")
		stay()
	}
	return nil
}

// segment finds the shared memory of that key.
func segment(a []string) error {
	_, err := unix.SysvShmGet(number(a[0]), 0, 0)
	return err
}

// queue opens the message queue of that name.
func queue(a []string) error {
	name, err := unix.BytePtrFromString(a[0])
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), unix.O_RDWR, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// typeIn types a letter into the terminal on its standard input, as if the person there had.
func typeIn([]string) error {
	letter := byte('x')
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&letter))); errno != 0 {
		return errno
	}
	return nil
}
