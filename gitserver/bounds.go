package gitserver

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// receiveCPU is how long each git process of a push may compute: a few kilobytes of deltas can name
// terabytes of objects. A pack of a gigabyte takes some minutes.
const receiveCPU = 15 * time.Minute

// bound limits a git that has been started but has not been given anything yet, and all that it will
// start: each process's own memory, which leaves out the packs that it maps, and time.
func bound(pid int, memory int64) error {
	limit := func(resource int, most uint64) error {
		return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
	}
	if err := limit(unix.RLIMIT_DATA, uint64(memory)); err != nil {
		return fmt.Errorf("limiting git's memory: %w", err)
	}
	if err := limit(unix.RLIMIT_CPU, uint64(receiveCPU/time.Second)); err != nil {
		return fmt.Errorf("limiting git's time: %w", err)
	}
	return nil
}
