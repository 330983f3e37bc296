package keeper

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainTime is how long the log waits, after a child's end, for what others wrote to its output.
const drainTime = time.Second

// starter returns the function that starts a child with its output going to log.
func starter(cfg Config, log io.Writer) func(ctx context.Context) (*child, error) {
	return func(ctx context.Context) (*child, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("making a pipe for its output: %w", err)
		}
		startedAt := time.Now()
		p, err := cfg.Start(ctx, w)
		if err != nil {
			r.Close()
			w.Close()
			return nil, err
		}
		c := &child{process: p, startedAt: startedAt, ended: make(chan string, 1)}
		logged := make(chan struct{})
		go func() {
			defer close(logged)
			_, _ = io.CopyBuffer(log, struct{ io.Reader }{r}, make([]byte, 64<<10))
		}()
		go func() {
			how := p.Wait()
			w.Close()
			// Somebody who outlived the child may hold the pipe open; that is not waited for.
			_ = r.SetReadDeadline(time.Now().Add(drainTime))
			<-logged
			r.Close()
			c.ended <- how
		}()
		return c, nil
	}
}

// Command is a Start for a plain process without a sandbox: it leads a process group of its own, all
// of which Kill ends, and dies with its keeper.
func Command(name string, args ...string) func(ctx context.Context, out *os.File) (Process, error) {
	return func(_ context.Context, out *os.File) (Process, error) {
		cmd := exec.Command(name, args...)
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return &command{cmd}, nil
	}
}

type command struct{ cmd *exec.Cmd }

func (c *command) PID() int { return c.cmd.Process.Pid }

func (c *command) Signal(sig syscall.Signal) error { return c.cmd.Process.Signal(sig) }

func (c *command) Kill() error { return syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }

func (c *command) Wait() string {
	// The group's number is the leader's until that is reaped, so the others are ended before.
	for unix.Waitid(unix.P_PID, c.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	_ = c.Kill()
	return exitText(c.cmd.Wait())
}
