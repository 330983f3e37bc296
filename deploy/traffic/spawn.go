package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startPatience is how long a router may take until it answers.
const startPatience = 30 * time.Second

// maxLog is the size at which the router's log is put aside when the next router starts.
const maxLog = 8 << 20

// child is a router that this process has started. It is waited for, so that it is no zombie once it
// ends.
type child struct {
	pid  int
	done chan struct{} // closed when it ended
	err  error         // how, once done is closed
}

// startRouter starts a router and returns when it answers. With alone it gets the listening socket
// that a dead one has left; otherwise it asks the living one for it.
func (s *Supervisor) startRouter(ctx context.Context, alone bool) (*watch, error) {
	logged, err := s.openLog()
	if err != nil {
		return nil, fmt.Errorf("opening the router's log: %w", err)
	}
	defer logged.Close()
	begin, err := logged.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	c, err := s.spawn(logged, alone)
	if err != nil {
		return nil, fmt.Errorf("starting the router: %w", err)
	}
	w, err := s.awaitRouter(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("starting the router: %w%s", err, said(logged, begin))
	}
	s.log.Info("router started", "pid", c.pid, "listen", w.health.Listen)
	return w, nil
}

func (s *Supervisor) openLog() (*os.File, error) {
	path := s.config.LogPath
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
}

// spawn starts the process in a session of its own, with nothing of this one: not its descriptors, of
// which some may have been inherited in turn, not its environment, not its working directory.
func (s *Supervisor) spawn(logged *os.File, alone bool) (*child, error) {
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return nil, err
	}
	cmd := exec.Command(s.config.Argv[0], s.config.Argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{}, s.config.Env...)
	cmd.Stdout, cmd.Stderr = logged, logged
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, errors.New("the router is being stopped")
	}
	if alone && s.listener != nil {
		cmd.ExtraFiles = []*os.File{s.listener}
		cmd.Env = append(cmd.Env, listenerEnv+"=3")
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{pid: cmd.Process.Pid, done: make(chan struct{})}
	s.child = c
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// awaitRouter asks until the router that answers is c. A router that does not get there is killed.
func (s *Supervisor) awaitRouter(ctx context.Context, c *child) (*watch, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		w, err := s.config.Client.watch(context.WithoutCancel(ctx), s.config.silence)
		if err == nil && w.health.PID == c.pid {
			return w, nil
		}
		if err == nil {
			w.close()
		}
		select {
		case <-again.C:
		case <-c.done:
			return nil, fmt.Errorf("it ended at once (%w)", exitError(c.err))
		case <-ctx.Done():
			_ = unix.Kill(c.pid, unix.SIGKILL) // it has ended if that fails
			return nil, fmt.Errorf("it does not answer: %w", ctx.Err())
		}
	}
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// awaitChild waits for the end of the router that this process has started last, if there is one.
func (s *Supervisor) awaitChild(ctx context.Context) error {
	s.mu.Lock()
	c := s.child
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the router's end: %w", ctx.Err())
	}
}

// endChild ends a router that has not come as far as answering.
func (s *Supervisor) endChild(ctx context.Context) error {
	s.mu.Lock()
	c := s.child
	s.mu.Unlock()
	if c != nil {
		select {
		case <-c.done:
		default:
			_ = unix.Kill(c.pid, unix.SIGTERM) // it has just ended if that fails
		}
	}
	return s.awaitChild(ctx)
}

// said returns the last line that the router has written to its log since begin, which is why it
// ended.
func said(logged *os.File, begin int64) string {
	const enough = 4 << 10
	b, err := io.ReadAll(io.NewSectionReader(logged, begin, math.MaxInt64-begin))
	b = bytes.TrimSpace(b[max(0, len(b)-enough):])
	if err != nil || len(b) == 0 {
		return ""
	}
	return ": " + string(b[bytes.LastIndexByte(b, '\n')+1:])
}
