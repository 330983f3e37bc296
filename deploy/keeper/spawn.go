package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spawn starts argv, a program that calls [Run] for dir (an absolute path), as a keeper that outlives
// this process: in a session of its own, in the folder /, with nothing open but its own log. It
// returns when the keeper answers on its socket and has started its child, or tried to. One that runs
// already is adopted; one that is about to stop is waited for. When the keeper ends instead of answering,
// the error holds what it said. When ctx ends first, the keeper that was started is killed.
func Spawn(ctx context.Context, argv []string, dir string) error {
	if adopted, err := adopt(ctx, dir); err != nil || adopted {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, ownLogFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the keeper's log: %w", err)
	}
	defer log.Close()
	said, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("opening the keeper's log: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	closeOnExec()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the keeper: %w", err)
	}
	ended := make(chan error, 1)
	go func() { // reaps it as long as this process lives
		ended <- cmd.Wait()
		close(ended)
	}()
	return settle(ctx, dir, cmd, ended, func() string {
		b, _ := io.ReadAll(io.NewSectionReader(log, said, 4<<10))
		return strings.TrimSpace(string(b))
	})
}

// adopt tells whether a keeper answers in dir that is going to stay.
func adopt(ctx context.Context, dir string) (bool, error) {
	c, err := Connect(dir)
	if errors.Is(err, ErrGone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := c.Status(ctx)
	if err == nil && s.Stopping {
		err = poll(ctx, func() bool { return !c.id.Alive() })
		return false, err
	}
	if errors.Is(err, ErrGone) {
		return false, nil
	}
	return err == nil && s.Starts > 0, err
}

// settle waits until the keeper just started answers, or another one that was faster. In that case the one
// just started may not even have looked yet, and would take the folder over when the other one is stopped.
func settle(ctx context.Context, dir string, cmd *exec.Cmd, ended <-chan error, said func() string) error {
	var failed error
	answers := func() bool {
		ok, err := adopt(ctx, dir)
		return ok && err == nil
	}
	err := poll(ctx, func() bool {
		select {
		case err := <-ended:
			failed = fmt.Errorf("the keeper ended before it answered: %s: %s", exitText(err), said())
			return true
		default:
			return answers()
		}
	})
	if err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("waiting for the keeper to answer: %w", err)
	}
	if failed != nil && strings.Contains(failed.Error(), ErrRunning.Error()) && until(time.Second, answers) {
		return nil // one that was started at the same time came first
	}
	if failed == nil {
		endOther(dir, cmd, ended)
	}
	return failed
}

// endOther ends the keeper just started, if it is not the one on record, and waits for its end.
func endOther(dir string, cmd *exec.Cmd, ended <-chan error) {
	if s, err := ReadStatus(dir); err != nil || s.Keeper.PID == cmd.Process.Pid {
		return
	}
	_ = cmd.Process.Kill()
	for range ended { // until it is closed: how it ended is of no interest
	}
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// closeOnExec marks every descriptor but the first three, since Go marks only those that it opened
// itself: one that this process inherited would live on in the keeper. A kernel before 5.11 refuses,
// and then they do.
func closeOnExec() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
}
