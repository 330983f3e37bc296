package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a sandbox that was started. It is safe for concurrent use.
type Process struct {
	sandbox *Sandbox
	spec    Spec
	cmd     *exec.Cmd
	stdio   *plumbing
	group   *cgroup // nil where there is none
	disk    *disk   // nil if nothing is polled
	copied  bool    // a mount's source was, to its scratch folder

	gate   *os.File // what the launcher waits for before it does anything
	words  []byte   // what is written to gate
	status *os.File // bubblewrap's reports; nil in ModeNone

	begun time.Time

	mu      sync.Mutex
	init    int    // first process of the pid namespace, as the host numbers it; 0 if not known yet
	initFD  int    // its pidfd, or -1
	code    int    // the command's exit status, -1 if bubblewrap did not report one
	killed  bool   // by us
	struck  string // the limit for which it was
	cause   error  // of the context's end
	polled  Usage  // the highest that polling has seen
	reports sync.WaitGroup

	ending chan struct{} // the launcher has exited and will be reaped; until then its number is its own
	exited chan struct{} // it has been reaped; state is set
	state  *os.ProcessState
	done   chan struct{} // all processes are gone; result and err are set
	result Result
	err    error
}

// Start runs spec's command. It returns when bubblewrap has been started and told what to do; a command
// that cannot be executed shows in Wait. When ctx ends, everything in the sandbox is killed and Wait
// returns the context's cause.
//
// Writers in stdio that are files are handed to the command; others are written to from a goroutine. Wait
// waits for a slow writer, but not after ctx has ended, and not for long after a kill; one that is stuck in a
// Write by then gets no more. A reader that is no file is read from until the command no longer wants it, and at most one
// Read longer.
//
// Start must be followed by Wait, sooner or later.
func (s *Sandbox) Start(ctx context.Context, spec Spec, stdio Stdio) (*Process, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("starting sandbox %s: %w", spec.Name, err)
	}
	p := &Process{
		sandbox: s, spec: spec, initFD: -1, code: -1,
		begun: time.Now(), ending: make(chan struct{}), exited: make(chan struct{}), done: make(chan struct{}),
	}
	if err := p.start(ctx, stdio); err != nil {
		return nil, fmt.Errorf("starting sandbox %s: %w", spec.Name, err)
	}
	go p.supervise(ctx)
	return p, nil
}

// PID returns the host's number of the launcher: bubblewrap's outer process, or the command itself in
// ModeNone. It lives exactly as long as the command does.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait blocks until no process of the sandbox is left and its output has been written, and returns how
// it ended. The error is set when the sandbox could not be set up, the command could not be executed, or
// the context ended; a failing command is in the result. Wait may be called often.
func (p *Process) Wait() (Result, error) {
	<-p.done
	return p.result, p.err
}

// Signal sends sig to the command, not to its children. A sandbox whose command does not run yet is
// killed.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.exited:
		return os.ErrProcessDone
	default:
	}
	if !p.sandbox.Inside() {
		return p.cmd.Process.Signal(sig)
	}
	fd, err := p.command()
	if errors.Is(err, os.ErrProcessDone) {
		return p.Kill()
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signalling sandbox %s: %w", p.spec.Name, err)
	}
	return nil
}

// Kill kills every process of the sandbox at once. It does not wait; Wait does.
func (p *Process) Kill() error {
	p.stop("", nil)
	return nil
}

// command returns a pidfd of the command: the second process of the pid namespace, the first being
// bubblewrap's.
func (p *Process) command() (int, error) {
	p.mu.Lock()
	first := p.init
	p.mu.Unlock()
	if first == 0 {
		return -1, os.ErrProcessDone
	}
	t, err := readTable()
	if err != nil {
		return -1, err
	}
	for _, pid := range t.children[first] {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if isCommand(pid) {
			return fd, nil
		}
		unix.Close(fd)
	}
	return -1, os.ErrProcessDone
}

func isCommand(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if numbers, found := strings.CutPrefix(line, "NSpid:"); found {
			fields := strings.Fields(numbers)
			return len(fields) > 1 && slices.Equal(fields[len(fields)-1:], []string{"2"})
		}
	}
	return false
}

// stop kills everything, for that reason if it is the first.
func (p *Process) stop(struck string, cause error) {
	select {
	case <-p.done: // the name may be another sandbox's by now
		return
	default:
	}
	p.mu.Lock()
	if !p.killed {
		p.killed, p.struck, p.cause = true, struck, cause
	}
	p.mu.Unlock()
	p.kill()
}

// kill sends SIGKILL to the launcher, to the namespace's first process, with which all others in it end,
// and to what else is in the cgroup.
func (p *Process) kill() {
	var tree []int
	if p.group == nil {
		if t, err := readTable(); err == nil {
			tree = t.tree(p.PID())
		}
	}
	_ = p.cmd.Process.Kill() // it may have ended
	p.mu.Lock()
	if p.initFD >= 0 {
		_ = unix.PidfdSendSignal(p.initFD, unix.SIGKILL, nil, 0)
	}
	p.mu.Unlock()
	if p.group != nil {
		_ = p.group.kill() // finish looks again
		return
	}
	select {
	case <-p.ending:
	default: // so what the table showed below it was its own a moment ago
		for _, pid := range tree {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}
