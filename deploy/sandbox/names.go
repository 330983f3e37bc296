package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage tells what the running sandbox of that name uses, whichever process started it. A sandbox that
// does not run uses nothing.
func (s *Sandbox) Usage(name string) (Usage, error) {
	if err := validName(name); err != nil {
		return Usage{}, err
	}
	if h, err := s.hierarchy(); err == nil {
		g := s.locate(h, name)
		if !g.exists() {
			return Usage{}, nil
		}
		return g.usage()
	}
	t, err := readTable()
	if err != nil {
		return Usage{}, err
	}
	u, _ := t.usage(t.all(s.tag(name)))
	return u, nil
}

// KillAll kills every process of the sandbox of that name, whichever process started it, and returns
// when they are gone and its cgroup with them. A name that is unknown is no error.
func (s *Sandbox) KillAll(ctx context.Context, name string) error {
	if err := validName(name); err != nil {
		return err
	}
	h, err := s.hierarchy()
	if err != nil {
		return killTagged(ctx, s.tag(name))
	}
	g := s.locate(h, name)
	if err := emptyGroup(ctx, g); err != nil {
		return fmt.Errorf("killing sandbox %s: %w", name, err)
	}
	return g.remove(patience)
}

// locate returns the cgroup of that name. With v2 it may be elsewhere than where this server makes its
// own: systemd gives each scope a cgroup of its own, and what a former server started stays in the former
// one's.
func (s *Sandbox) locate(h *hierarchy, name string) *cgroup {
	g := h.group(name)
	if h.version == 1 || g.exists() {
		return g
	}
	t, err := readTable()
	if err != nil {
		return g
	}
	for _, pid := range t.tagged(s.tag(name)) {
		if g.holds(pid) {
			if dir, err := cgroupOf(h.mounts[""], strconv.Itoa(pid)); err == nil {
				g.dirs[""] = dir
			}
		}
	}
	return g
}

// Names lists the sandboxes that exist, sorted. With cgroups that includes those that a crash of their
// starter left behind, which KillAll removes.
func (s *Sandbox) Names() ([]string, error) {
	if h, err := s.hierarchy(); err == nil {
		return h.names()
	}
	t, err := readTable()
	if err != nil {
		return nil, err
	}
	var names []string
	for pid := range t.processes {
		if name, found := strings.CutPrefix(processTag(pid), s.tag("")); found && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// all returns the processes that carry tag, and everything below them.
func (t table) all(tag string) []int {
	var pids []int
	for _, root := range t.tagged(tag) {
		for _, pid := range t.tree(root) {
			if !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// emptyGroup kills what is in the cgroup until nothing is.
func emptyGroup(ctx context.Context, g *cgroup) error {
	return untilNone(ctx, func() (int, error) {
		pids, err := g.pids()
		if err != nil || len(pids) == 0 {
			return 0, err
		}
		return len(pids), g.kill()
	})
}

// killTagged kills the processes that carry tag, and everything below them, until there are none and each
// that was seen has ended: those below lose their tag when those above are gone.
func killTagged(ctx context.Context, tag string) error {
	seen := map[int]int{} // process to pidfd
	defer func() {
		for _, fd := range seen {
			unix.Close(fd)
		}
	}()
	return untilNone(ctx, func() (int, error) {
		t, err := readTable()
		if err != nil {
			return 0, err
		}
		for _, pid := range t.all(tag) {
			if _, found := seen[pid]; found {
				continue
			}
			if fd, err := unix.PidfdOpen(pid, 0); err == nil {
				seen[pid] = fd
			}
		}
		alive := 0
		for _, fd := range seen {
			if !ended(fd) {
				alive++
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it may end meanwhile
			}
		}
		return alive, nil
	})
}

// ended tells whether the process behind a pidfd has.
func ended(fd int) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0
}

// untilNone calls kill, at growing intervals, until it finds nothing to kill.
func untilNone(ctx context.Context, kill func() (int, error)) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		n, err := kill()
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes do not end: %w", n, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}
