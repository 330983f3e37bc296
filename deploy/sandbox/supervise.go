package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollInterval is how often disk, and without a cgroup memory and processes, are looked at.
	pollInterval = 100 * time.Millisecond
	// openInterval is how often it is tried, in the beginning, to take hold of the private folders in memory:
	// a command that fills them at once must not have ended before.
	openInterval = 3 * time.Millisecond
	openPatience = time.Second
	// pollShare is the inverse of the share of time that looking may take.
	pollShare = 10
	// outputPatience is how long the output of a sandbox that was killed may take to be written.
	outputPatience = 3 * time.Second
	// patience is how long a sandbox's killed processes may take to vanish.
	patience = 10 * time.Second
)

// supervise sees to the sandbox until nothing of it is left.
func (p *Process) supervise(ctx context.Context) {
	defer close(p.done)
	p.watch(ctx)
	p.finish(ctx)
}

// watch blocks until the launcher has exited, and kills everything when a limit strikes or ctx ends.
func (p *Process) watch(ctx context.Context) {
	var deadline, look <-chan time.Time
	if p.spec.Limits.Time > 0 {
		timer := time.NewTimer(p.spec.Limits.Time)
		defer timer.Stop()
		deadline = timer.C
	}
	poll := time.NewTimer(openInterval)
	defer poll.Stop()
	if p.disk != nil {
		look = poll.C
	}
	ended := ctx.Done()
	for {
		select {
		case <-p.exited:
			return
		case <-ended:
			p.stop("", context.Cause(ctx))
			ended = nil
		case <-deadline:
			p.stop(struckTime(p.spec.Limits.Time), nil)
		case <-look:
			if !p.openMemory() {
				poll.Reset(openInterval)
				continue
			}
			begin := time.Now()
			if struck := p.look(); struck != "" {
				p.stop(struck, nil)
			}
			poll.Reset(max(pollInterval, pollShare*time.Since(begin)))
		}
	}
}

// openMemory takes hold of the private folders in memory. It tells whether there is nothing to wait for.
func (p *Process) openMemory() bool {
	if !p.sandbox.Inside() || time.Since(p.begun) > openPatience {
		return true
	}
	p.mu.Lock()
	first := p.init
	p.mu.Unlock()
	return first > 0 && p.disk.open(first)
}

// look measures what is not limited by the kernel, and names the limit that was exceeded.
func (p *Process) look() string {
	limits := p.spec.Limits
	var pids []int
	if p.group != nil {
		pids, _ = p.group.pids() // none are counted if they cannot be listed
	} else {
		t, err := readTable()
		if err != nil {
			return ""
		}
		usage, threads := t.usage(p.members(t))
		usage.Memory += p.disk.inMemory()
		p.remember(usage)
		if limits.Memory > 0 && usage.Memory > limits.Memory {
			return struckMemory(limits.Memory)
		}
		if limits.Processes > 0 && threads > limits.Processes+p.launchers() {
			return struckProcesses(limits.Processes)
		}
		pids = usage.PIDs
	}
	if limits.Disk > 0 && p.disk.grown(pids) > limits.Disk {
		return struckDisk(limits.Disk)
	}
	return ""
}

// members returns the sandbox's processes where there is no cgroup.
func (p *Process) members(t table) []int {
	if p.sandbox.Inside() {
		return t.tree(p.PID())
	}
	return t.tagged(p.sandbox.tag(p.spec.Name))
}

// launchers is how many processes are not the command's.
func (p *Process) launchers() int {
	if p.sandbox.Inside() {
		return launcherProcesses
	}
	return 0
}

func (p *Process) remember(u Usage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.polled.CPU = max(p.polled.CPU, u.CPU)
	p.polled.MaxMemory = max(p.polled.MaxMemory, u.Memory)
}

// finish ends what the command left behind, waits until it is gone, and makes the result.
func (p *Process) finish(caller context.Context) {
	var kills, refusals int64
	if p.group != nil {
		kills, refusals = p.group.struck() // before we refuse processes ourselves
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := p.end(ctx)
	p.awaitOutput(caller)
	usage := p.usage()
	var written amount
	if p.disk != nil || p.spec.Limits.FileSize > 0 {
		written = p.lookAgain()
	}
	if p.group != nil {
		err = errors.Join(err, p.group.remove(patience))
	}
	err = errors.Join(err, p.removeScratch())
	p.result, p.err = p.conclude(kills, refusals, written)
	p.result.Usage = usage
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("ending sandbox %s: %w", p.spec.Name, err)
	}
}

// awaitOutput waits until all output has been written. All writers of it are dead, so that is only a
// matter of how fast the caller takes it, for as long as the caller wants to wait; but after a kill nobody wants
// to for long, and in ModeNone a process that could not be found can hold the descriptor for ever.
func (p *Process) awaitOutput(caller context.Context) {
	p.mu.Lock()
	killed := p.killed
	p.mu.Unlock()
	ctx := caller
	if killed || (!p.sandbox.Inside() && p.group == nil) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(caller, outputPatience)
		defer cancel()
	}
	p.stdio.finish(ctx)
}

// end kills what is left and waits until it is gone.
func (p *Process) end(ctx context.Context) error {
	if p.status != nil {
		_ = p.status.SetReadDeadline(time.Now().Add(time.Second)) // a pipe; its writer has exited
	}
	p.reports.Wait()
	p.mu.Lock()
	fd := p.initFD
	p.initFD = -1
	p.mu.Unlock()
	if fd >= 0 {
		defer unix.Close(fd)
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		if err := awaitExit(ctx, fd); err != nil {
			return err
		}
	}
	if p.group != nil {
		return emptyGroup(ctx, p.group)
	}
	if !p.sandbox.Inside() {
		return killTagged(ctx, p.sandbox.tag(p.spec.Name))
	}
	return nil
}

// awaitExit blocks until the process behind a pidfd has ended. If it has become our child, because we
// are the first process of a container, it is reaped.
func awaitExit(ctx context.Context, fd int) error {
	for {
		if ctx.Err() != nil {
			return errors.New("its first process does not end")
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for its first process: %w", err)
		}
		if n > 0 {
			_ = unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil) // ECHILD if it is not ours
			return nil
		}
	}
}

func (p *Process) usage() Usage {
	if p.group != nil {
		return p.group.spent()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.polled
	u.CPU = max(u.CPU, p.state.SystemTime()+p.state.UserTime())
	return u
}

// lookAgain measures disk one last time, and names its limit if a command ended between two looks.
func (p *Process) lookAgain() amount {
	if p.disk == nil {
		return newDisk(p.spec.Watched).look(nil)
	}
	defer p.disk.close()
	written := p.disk.look(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.spec.Limits.Disk
	if limit > 0 && p.struck == "" && p.cause == nil && written.bytes-p.disk.baseline+p.disk.inMemory() > limit {
		p.struck = struckDisk(limit)
	}
	return written
}

// conclude makes the result of what was reported and counted.
func (p *Process) conclude(kills, refusals int64, written amount) (Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Result{ExitCode: p.code, Struck: p.struck}
	status, _ := p.state.Sys().(syscall.WaitStatus)
	switch {
	case p.code >= 0: // as bubblewrap reported
	case status.Signaled():
		r.Signal, r.ExitCode = status.Signal(), 128+int(status.Signal())
	case !p.sandbox.Inside():
		r.ExitCode = status.ExitStatus()
	case p.killed:
		r.Signal, r.ExitCode = syscall.SIGKILL, 128+int(syscall.SIGKILL)
	default:
		r.ExitCode = status.ExitStatus()
		return r, p.setupError()
	}
	if p.sandbox.Inside() && r.ExitCode > 128 && r.ExitCode <= 128+64 {
		r.Signal = syscall.Signal(r.ExitCode - 128)
	}
	p.nameLimit(&r, kills, refusals, written)
	if p.cause != nil {
		return r, fmt.Errorf("sandbox %s ended: %w", p.spec.Name, p.cause)
	}
	return r, nil
}

// nameLimit tells which limit struck, by what was counted. A file as large as files may be tells of the
// file size limit only if the command failed.
func (p *Process) nameLimit(r *Result, kills, refusals int64, written amount) {
	limits := p.spec.Limits
	switch {
	case r.Struck != "":
	case limits.Memory > 0 && kills > 0:
		r.Struck = struckMemory(limits.Memory)
	case limits.Processes > 0 && refusals > 0 && !p.killed: // killing refuses processes too
		r.Struck = struckProcesses(limits.Processes)
	case limits.FileSize > 0 && r.ExitCode != 0 && (r.Signal == syscall.SIGXFSZ || written.largest == limits.FileSize):
		r.Struck = struckFileSize(limits.FileSize)
	}
}

// setupError says why bubblewrap did not get to run the command, in its own words if they were caught.
func (p *Process) setupError() error {
	if p.stdio.words != nil {
		for line := range strings.Lines(p.stdio.words.String()) {
			if words, found := strings.CutPrefix(line, "bwrap: "); found {
				return fmt.Errorf("sandbox %s could not be set up: %s", p.spec.Name, strings.TrimSpace(words))
			}
		}
	}
	return fmt.Errorf("sandbox %s could not be set up: its output says why", p.spec.Name)
}
