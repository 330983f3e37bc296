package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"slipway/deploy/durable"
)

// pidFile tells people who holds the log. The lock itself is on the folder.
const pidFile = "pid"

// ErrHeld says that another process has the log open.
var ErrHeld = errors.New("the audit log is held by another process")

// openFolder makes the folder if need be and locks it for as long as the returned file is open. The
// system lets go of the lock however the process ends.
func openFolder(dir string) (*os.File, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	if err := lock(folder, dir); err != nil {
		folder.Close()
		return nil, err
	}
	return folder, nil
}

func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the audit log: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it may be older, or come from a backup
		return fmt.Errorf("making the folder of the audit log private: %w", err)
	}
	if err := durable.Sync(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("making the folder of the audit log: %w", err)
	}
	return nil
}

// Released waits until no process holds the log in dir any more, or until ctx ends. A folder that is not
// there is not held.
func Released(ctx context.Context, dir string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		held, err := isHeld(dir)
		if err != nil || !held {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%s): %s", ErrHeld, holder(dir), dir)
		}
	}
}

func isHeld(dir string) (bool, error) {
	folder, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking who holds the audit log: %w", err)
	}
	defer folder.Close()
	err = syscall.Flock(int(folder.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

func lock(folder *os.File, dir string) error {
	err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%w (%s): %s", ErrHeld, holder(dir), dir)
	}
	if err != nil {
		return fmt.Errorf("locking the audit log: %w", err)
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := os.WriteFile(filepath.Join(dir, pidFile), []byte(pid), 0o600); err != nil {
		return fmt.Errorf("locking the audit log: %w", err)
	}
	return nil
}

// holder says who has the lock, as far as that can be known.
func holder(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, pidFile))
	pid := strings.TrimSpace(string(b))
	if err != nil || pid == "" {
		return "its pid is not known"
	}
	return "pid " + pid
}
