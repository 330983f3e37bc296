package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// errCannotJoin means that the process has to be moved after its birth instead.
var errCannotJoin = errors.New("this thread cannot be moved")

// join moves the calling thread, which must be locked to its goroutine, into a v1 cgroup, so that what it
// forks is born there; leave moves it back. A thread that moves itself ("0" written to tasks) does so at
// once, while moving a process has the kernel wait for an RCU grace period, often longer than all
// else that a start takes. (With v2 clone3 puts the child where it belongs.)
//
// Until leave, cgroup.procs lists the whole server. Nothing is killed by that list alone: see holds,
// which goes by the main thread, which therefore never joins.
func (g *cgroup) join() (leave func() error, err error) {
	if g.version != 1 || unix.Gettid() == os.Getpid() {
		return nil, errCannotJoin
	}
	homes, err := g.homes()
	if err != nil {
		return nil, err
	}
	leave = func() error {
		var failed []error
		for _, home := range homes {
			failed = append(failed, writeFile(home, "0"))
		}
		return errors.Join(failed...)
	}
	for _, dir := range g.dirs {
		if err := writeFile(filepath.Join(dir, "tasks"), "0"); err != nil {
			return leave, fmt.Errorf("entering a cgroup: %w", err)
		}
	}
	return leave, nil
}

// homes returns the tasks files of the calling thread's present cgroups.
func (g *cgroup) homes() ([]string, error) {
	b, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		return nil, errCannotJoin
	}
	present := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); len(fields) == 3 {
			for controller := range strings.SplitSeq(fields[1], ",") {
				present[controller] = fields[2]
			}
		}
	}
	var homes []string
	for controller := range g.dirs {
		m := g.mounts[controller]
		own, err := filepath.Rel(m.root, present[controller])
		if err != nil || strings.HasPrefix(own, "..") {
			return nil, errCannotJoin
		}
		home := filepath.Join(m.point, own, "tasks")
		if unix.Access(home, unix.W_OK) != nil {
			return nil, errCannotJoin
		}
		homes = append(homes, home)
	}
	return homes, nil
}
