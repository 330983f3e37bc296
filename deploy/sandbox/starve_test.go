package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestStarvation attempts to take what others need, or the rights to, first on the host as root and then
// from the inside. What limits of a Spec bound is in TestLimits and TestDiskLimitOfWatchedFolder.
func TestStarvation(t *testing.T) {
	s := newSandbox()
	rlimit := func(r int) []string { return []string{strconv.Itoa(r), "10000000"} }
	attempts := []attempt{
		{"a high priority", true, "", "nice", nil},
		{"realtime scheduling", true, "", "realtime", nil},
		{"realtime input and output", true, "", "ionice", nil},
		{"memory that is never swapped", true, "", "mlock", []string{"64"}},
		{"not to be killed for want of memory", true, resource, "oom", nil},
		{"many descriptors", true, resource, "descriptors", []string{strconv.Itoa(openFiles + 1)}},
		{"core dumps", true, resource, "raise", rlimit(unix.RLIMIT_CORE)},
		{"the right to priorities", true, resource, "raise", rlimit(unix.RLIMIT_NICE)},
		{"the right to realtime", true, resource, "raise", rlimit(unix.RLIMIT_RTPRIO)},
		{"the right to lock memory", true, resource, "raise", rlimit(unix.RLIMIT_MEMLOCK)},
		{"the kernel's log", true, "", "open", []string{"/dev/kmsg"}},
		{"the caches of the kernel", true, "", "truncate", []string{"/proc/sys/vm/drop_caches"}},
		{"how many files the machine may open", true, "", "truncate", []string{"/proc/sys/fs/file-max"}},
		{"what the machine does in a panic", true, "", "truncate", []string{"/proc/sys/kernel/panic"}},
		{"how many processes the machine may have", true, "", "truncate", []string{"/proc/sys/kernel/threads-max"}},
		{"forwarding of packets", true, "", "truncate", []string{"/proc/sys/net/ipv4/ip_forward"}},
		{"the machine's devices", false, "", "list", []string{"/sys/class"}},
		{"the host's folders", false, "", "list", []string{"/home"}},
	}
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) { a.run(t, s) })
	}
}

// run makes the attempt where it is open, and then from the inside, where it must fail.
func (a attempt) run(t *testing.T, s *Sandbox, mounts ...Mount) {
	t.Helper()
	if a.hard != untried && (!a.privileged || os.Geteuid() == 0) {
		output, err := outside(t, a.privileged, a.probe, a.args...)
		if err != nil && a.hard == "" {
			t.Errorf("the probe fails outside too, so it proves nothing: %v %s", err, output)
		} else if err != nil {
			t.Logf("it is not shown that it works outside: %s: %v %s", a.hard, err, output)
		}
		if a.probe == "write" && a.privileged {
			os.Remove(a.args[0])
		}
	}
	inside := probe(a.probe, a.args...)
	inside.Mounts = append(inside.Mounts, mounts...)
	if r, output := finish(t, s, inside); r.ExitCode != 3 {
		t.Errorf("it was done: %v %s", r, output)
	}
}

// TestWatchersOfOthers: the kernel counts what a user has of inotify and the like. An app that takes all of
// it takes it from itself: who has the same id gets none, who has another does.
func TestWatchersOfOthers(t *testing.T) {
	needRoot(t)
	s := newSandbox()
	greedy := probe("inotify", "1000000", "stay")
	greedy.ID = 8
	started(t, s, t.Context(), greedy)
	must(t, s, probe("inotify", "10"))
	same := probe("inotify", "10")
	same.ID = 8
	if r, output := finish(t, s, same); r.ExitCode != 3 {
		t.Errorf("they are not counted, so this proves nothing: %v %s", r, output)
	}
}

// TestHostsMessages: what processes of the host exchange by keys and names is not there inside.
func TestHostsMessages(t *testing.T) {
	s := newSandbox()
	key := 0x51170000 + os.Getpid()
	id, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.SysvShmCtl(id, unix.IPC_RMID, nil) })
	t.Run("shared memory", func(t *testing.T) {
		attempt{"", false, "", "segment", []string{strconv.Itoa(key)}}.run(t, s)
	})
	name := fmt.Sprintf("sandbox-test-%d", os.Getpid())
	bytes := append([]byte(name), 0)
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&bytes[0])), unix.O_CREAT|unix.O_RDWR, 0o600, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() {
		unix.Close(int(fd))
		unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(&bytes[0])), 0, 0)
	})
	t.Run("a message queue", func(t *testing.T) {
		attempt{"", os.Geteuid() == 0, "", "queue", []string{name}}.run(t, s)
	})
}

// TestTyping: a command that was given a terminal cannot type into it, which would be read by the server's
// operator's shell.
func TestTyping(t *testing.T) {
	s := newSandbox()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if os.Geteuid() == 0 {
		cmd := exec.Command(filepath.Join(base, "probe", "probe"))
		cmd.Env, cmd.Stdin = []string{probeVariable + "=type"}, terminal
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the probe fails outside too, so it proves nothing: %v %s", err, output)
		}
	}
	p, err := s.Start(t.Context(), probe("type"), Stdio{In: terminal})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(); err != nil || r.ExitCode != 3 {
		t.Errorf("it was done: %v %v", r, err)
	}
}

// TestPlantedFiles: what somebody put into a mounted folder gives nothing that the mount does not.
func TestPlantedFiles(t *testing.T) {
	s := newSandbox()
	dir, other := folder(t, s, 7), folder(t, s, 7)
	uid, gid := s.HostID(7)
	file := filepath.Join(other, "file")
	if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(file, uid, gid); err != nil {
		t.Fatal(err)
	}
	mount := func(source, target string) Mount { return Mount{Source: source, Target: target, Writable: true} }
	// The same paths inside and outside, so that one attempt fits both.
	t.Run("a hard link from one mount to another", func(t *testing.T) {
		attempt{"", false, "", "link", []string{file, filepath.Join(dir, "link")}}.run(t, s, mount(dir, dir), mount(other, other))
	})
	t.Run("a symbolic link out of a mount", func(t *testing.T) {
		if err := os.Symlink(file, filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
		attempt{"", false, "", "read", []string{filepath.Join(dir, "out")}}.run(t, s, mount(dir, dir))
	})
	t.Run("a device node that root made", func(t *testing.T) {
		needRoot(t)
		node := filepath.Join(dir, "null")
		if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(node, 0o666); err != nil {
			t.Fatal(err)
		}
		a := attempt{"", false, "", "open", []string{node}}
		var system unix.Statfs_t
		if err := unix.Statfs(dir, &system); err != nil || system.Flags&unix.ST_NODEV != 0 {
			a.hard = "the folder for temporary files has no devices"
		}
		a.run(t, s, mount(dir, dir))
	})
}
