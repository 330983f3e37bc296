package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slipway/deploy"
	"slipway/deploy/keeper"
)

// Inspect looks at an instance. One whose keeper is gone does not run, and its last state is told; one
// that was stopped or never started is a deploy.ErrNotFound.
func (e *Local) Inspect(ctx context.Context, i deploy.Instance) (deploy.InstanceState, error) {
	var unseen deploy.InstanceState
	s, err := readSpec(e.folder(i.App, i.Release, i.Process, i.Index))
	if errors.Is(err, fs.ErrNotExist) {
		return unseen, fmt.Errorf("instance %s-%s-%d of %s: %w", i.Release, i.Process, i.Index, i.App, deploy.ErrNotFound)
	}
	if err != nil {
		return unseen, err
	}
	status, err := statusOf(ctx, s.folder)
	if err != nil {
		return unseen, err
	}
	state := deploy.InstanceState{
		Running:   status.Running,
		StartedAt: status.StartedAt,
		Restarts:  status.Restarts,
		LogPath:   keeper.LogPath(s.folder),
		LastExit:  status.LastExit,
		Dir:       s.Dir,
	}
	if !status.Running {
		return state, nil
	}
	state.PID = status.Child.PID
	usage, err := e.config.Sandbox.Usage(s.Sandbox.Name)
	if err != nil {
		return unseen, fmt.Errorf("measuring instance %s: %w", filepath.Base(s.folder), err)
	}
	state.Memory, state.CPU = usage.Memory, usage.CPU
	if s.Port != 0 {
		owner, pid, err := e.whose(s, usage.PIDs)
		if err != nil {
			return unseen, err
		}
		state.Listening = owner == instance || owner == unknown
		state.Dir = servedFrom(pid, s.Dir)
	}
	return state, nil
}

// statusOf asks the keeper of a folder, or reads what the last one recorded.
func statusOf(ctx context.Context, folder string) (keeper.Status, error) {
	c, err := keeper.Connect(folder)
	if err == nil {
		var status keeper.Status
		if status, err = c.Status(ctx); err == nil {
			return status, nil
		}
	}
	if !errors.Is(err, keeper.ErrGone) {
		return keeper.Status{}, err
	}
	status, err := keeper.ReadStatus(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return keeper.Status{}, nil // prepared, but never started
	}
	status.Running = false
	return status, err
}

// servedFrom makes sure that a process that listens has the release before its eyes, not another
// directory: it returns dir if it has, or if that cannot be seen, and "" if not.
func servedFrom(pid int, dir string) string {
	if pid == 0 {
		return dir
	}
	want, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	seen, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/root/app")
	if err != nil || os.SameFile(want, seen) {
		return dir
	}
	if root, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/root"); err == nil && sameRoot(pid) && root == "/" {
		return dir // it runs without a sandbox, on a host that has an /app of its own
	}
	return ""
}

// sameRoot tells whether a process has our root directory.
func sameRoot(pid int) bool {
	theirs, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/root/.")
	if err != nil {
		return false
	}
	ours, err := os.Stat("/")
	return err == nil && os.SameFile(ours, theirs)
}

// whose tells who listens on an instance's port, and which of its processes does. members are those of
// its sandbox. Where none of them listens, the descendants of its process are looked at, too, for which
// every process of the machine has to be read: that takes 10 ms where there are thousands.
func (e *Local) whose(s *spec, members []int) (ownership, int, error) {
	owner, pid, err := whoListens(s.Port, func() []int { return members })
	if err != nil || owner == nobody || owner == instance {
		return owner, pid, err
	}
	return whoListens(s.Port, func() []int {
		c, err := keeper.Connect(s.folder)
		if err != nil {
			return nil
		}
		return e.pidsOf(c, s)
	})
}

func (e *Local) pidsOf(c *keeper.Client, s *spec) []int {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	var tree []int
	if status, err := c.Status(ctx); err == nil && status.Running {
		tree = descendants(status.Child.PID)
	}
	usage, err := e.config.Sandbox.Usage(s.Sandbox.Name)
	if err != nil {
		return tree
	}
	return union(usage.PIDs, tree)
}

func union(a, b []int) []int {
	for _, n := range b {
		if !slices.Contains(a, n) {
			a = append(a, n)
		}
	}
	return a
}

// descendants lists a process and all that descend from it.
func descendants(root int) []int {
	if root == 0 {
		return nil
	}
	children := make(map[int][]int)
	for _, e := range list("/proc") {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 {
			if parent, err := strconv.Atoi(fields[1]); err == nil {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
