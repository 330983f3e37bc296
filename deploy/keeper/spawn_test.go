package keeper_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"slipway/deploy/keeper"
)

func TestConcurrentSpawnsAgree(t *testing.T) {
	dir := t.TempDir()
	errs := make(chan error)
	for range 4 {
		go func() {
			errs <- keeper.Spawn(t.Context(), []string{os.Args[0], "keep", dir, "sleep", "1000"}, dir)
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if s := status(t, connect(t, dir)); s.Starts != 1 || !s.Running {
		t.Errorf("%+v", s)
	}
}

// A keeper that is slow to start does not take the folder over later: when another one answers it is ended.
func TestLateKeeperIsEnded(t *testing.T) {
	dir := t.TempDir()
	done := make(chan error)
	go func() { done <- keeper.Spawn(t.Context(), []string{os.Args[0], "late", dir}, dir) }()
	pid := 0
	eventually(t, "it starts", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "late"))
		pid, _ = strconv.Atoi(string(b))
		return err == nil
	})
	c := spawn(t, "keep", dir, "sleep", "1000")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if s := status(t, c); s.Starts != 1 || !s.Running || s.Keeper.PID == pid {
		t.Errorf("%+v", s)
	}
}
