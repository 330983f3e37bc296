package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// start prepares the launcher and starts it.
func (p *Process) start(ctx context.Context, stdio Stdio) (err error) {
	var inherited descriptors
	defer inherited.close()
	defer func() {
		if err != nil {
			p.discard()
		}
	}()
	if err := p.prepare(&inherited); err != nil {
		return err
	}
	if err := p.makeScratch(); err != nil {
		return err
	}
	if err := p.confine(); err != nil {
		return err
	}
	p.stdio = &plumbing{}
	defer p.stdio.closeInherited()
	if err := p.stdio.connect(p.cmd, stdio); err != nil {
		return err
	}
	p.cmd.ExtraFiles = inherited.files
	if err := closeOnExec(); err != nil {
		return err
	}
	if err := p.fork(ctx); err != nil {
		return err
	}
	p.stdio.closeInherited()
	inherited.close()
	p.stdio.run()
	p.readReports()
	return nil
}

// prepare makes the command and the pipe that it waits on.
func (p *Process) prepare(inherited *descriptors) error {
	wait, gate, err := os.Pipe()
	if err != nil {
		return err
	}
	p.gate = gate
	number := inherited.add(wait)
	if !p.sandbox.Inside() {
		p.cmd, p.words = plainCommand(&p.spec, p.sandbox.tag(p.spec.Name)), []byte("go\n")
		return nil
	}
	path, err := p.sandbox.bubblewrap()
	if err != nil {
		return err
	}
	if err := p.sandbox.checkMounts(&p.spec); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	p.status = read
	args, err := p.sandbox.arguments(&p.spec, inherited, inherited.add(write))
	if err != nil {
		return err
	}
	p.words = []byte(strings.Join(args, "\x00") + "\x00")
	p.cmd = &exec.Cmd{Path: path, Dir: "/", Env: []string{}}
	p.cmd.Args = append([]string{p.sandbox.tag(p.spec.Name), "--args", number, "--"}, p.spec.Argv...)
	return nil
}

// confine makes the cgroup, without limits yet, and sets who the process will be.
func (p *Process) confine() error {
	h, err := p.sandbox.hierarchy()
	if err == nil {
		if p.group, err = h.create(p.spec.Name); err != nil {
			return err
		}
	}
	l := p.spec.Limits
	if l.Disk > 0 || (p.group == nil && (l.Memory > 0 || l.Processes > 0)) {
		p.disk = newDisk(p.spec.Watched)
	}
	attributes := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if p.sandbox.root {
		uid, gid := p.sandbox.HostID(p.spec.ID)
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	p.cmd.SysProcAttr = attributes
	return nil
}

// fork starts the launcher and lets it go on, from a thread that stays for as long as the launcher lives:
// the kernel's parent-death signal, which bubblewrap's --die-with-parent uses too, is sent when the thread
// that forked ends, not the process.
func (p *Process) fork(ctx context.Context) error {
	started := make(chan error)
	onThread(func() {
		unlayered, err := p.layer(ctx)
		home := true
		if err == nil {
			err, home = p.forkInside()
		}
		home = home && unlayered
		if err == nil {
			if err = p.release(); err != nil {
				p.undoFork()
			}
		}
		started <- err
		if err == nil {
			p.await()
			close(p.exited)
		}
		if home {
			runtime.UnlockOSThread()
		} // else the thread ends here, with the goroutine
	})
	return <-started
}

// onThread runs f in a goroutine that is locked to its thread, and which f may unlock. It is not the
// process's first thread: that one does not end with its goroutine, and its namespaces are what others
// see of the process.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		other := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(other)
			f()
		}()
		<-other
		runtime.UnlockOSThread()
	}()
}

// forkInside starts the launcher in its cgroup if that can be done. It tells whether the thread is again
// where it was; if not, the launcher has not been started.
func (p *Process) forkInside() (err error, home bool) {
	if p.group == nil {
		return p.cmd.Start(), true
	}
	if p.group.version == 2 {
		return p.forkInto(), true
	}
	leave, err := p.group.join()
	if errors.Is(err, errCannotJoin) {
		return p.forkAndAdd(), true
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if back := leave(); back != nil {
		if err == nil {
			p.undoFork()
		}
		return fmt.Errorf("leaving a cgroup: %w", back), false
	}
	return err, true
}

func (p *Process) forkAndAdd() error {
	if err := p.cmd.Start(); err != nil {
		return err
	}
	if err := p.group.add(p.PID()); err != nil {
		p.undoFork()
		return err
	}
	return nil
}

// undoFork ends a launcher that has not been told what to do.
func (p *Process) undoFork() {
	_ = p.cmd.Process.Kill()
	_, _ = p.cmd.Process.Wait()
}

// forkInto has the kernel put the child into the v2 cgroup as it is made.
func (p *Process) forkInto() error {
	fd, err := unix.Open(p.group.main(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a cgroup: %w", err)
	}
	defer unix.Close(fd)
	p.cmd.SysProcAttr.UseCgroupFD, p.cmd.SysProcAttr.CgroupFD = true, fd
	return p.cmd.Start()
}

// closeOnExec keeps descriptors that this process has inherited itself, or that a library has opened
// carelessly, from the command. Those that exec.Cmd passes on are not concerned: it copies them in the
// child.
func closeOnExec() error {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return fmt.Errorf("marking descriptors to be closed: %w", err)
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC) // the one that was read is closed
		}
	}
	return nil
}

// await blocks until the launcher has exited. In ModeNone its process group is killed before it is
// reaped, because only until then its number is safe to use.
func (p *Process) await() {
	pid := p.cmd.Process.Pid
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if !p.sandbox.Inside() {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	close(p.ending)
	p.state, _ = p.cmd.Process.Wait()
}

// release puts the waiting launcher, still one thread without children, under its limits and lets it go
// on. The cgroup gets its limits only now, because our own thread has been in it.
func (p *Process) release() error {
	if p.group != nil {
		if err := p.group.limit(p.spec.Limits); err != nil {
			return err
		}
	}
	uid, gid := p.sandbox.HostID(p.spec.ID)
	if err := setRlimits(p.PID(), uid, gid, p.spec.Limits); err != nil {
		return err
	}
	err := widen(p.gate, len(p.words))
	if err == nil {
		_, err = p.gate.Write(p.words)
	}
	p.gate.Close()
	if err != nil {
		return fmt.Errorf("telling the launcher what to do: %w", err)
	}
	return nil
}

// widen makes a pipe hold n bytes, so that they are written at once or not at all: a launcher must never
// act on the first half of its arguments because the server died in the middle.
func widen(pipe *os.File, n int) error {
	const usual = 64 << 10
	if n <= usual {
		return nil
	}
	connection, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	var size int
	if control := connection.Control(func(fd uintptr) {
		size, err = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, n)
	}); control != nil {
		return control
	}
	if err != nil || size < n {
		return fmt.Errorf("%d bytes of arguments and environment are too many: %w", n, err)
	}
	return nil
}

// readReports follows bubblewrap's --json-status-fd.
func (p *Process) readReports() {
	if p.status == nil {
		return
	}
	p.reports.Go(func() {
		defer p.status.Close()
		lines := bufio.NewScanner(p.status)
		for lines.Scan() {
			var report struct {
				Child *int `json:"child-pid"`
				Code  *int `json:"exit-code"`
			}
			if json.Unmarshal(lines.Bytes(), &report) == nil {
				p.note(report.Child, report.Code)
			}
		}
	})
}

func (p *Process) note(child, code *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if child != nil && p.init == 0 {
		p.init = *child
		if fd, err := unix.PidfdOpen(*child, 0); err == nil {
			p.initFD = fd
			if p.killed {
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			}
		}
	}
	if code != nil {
		p.code = *code
	}
}

// discard frees what a failed start leaves.
func (p *Process) discard() {
	if p.gate != nil {
		p.gate.Close()
	}
	if p.status != nil {
		p.status.Close()
	}
	p.reports.Wait()
	if p.disk != nil {
		p.disk.close()
	}
	if p.stdio != nil {
		p.stdio.abandon()
	}
	if p.group != nil {
		_ = p.group.remove(patience) // the error that matters is the start's
	}
	_ = p.removeScratch()
}
