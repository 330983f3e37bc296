package inner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// process is the app that runs beside the script.
type process struct {
	cmd  *exec.Cmd
	port int
	done chan struct{} // closed when it has ended; how is set before
	how  string
}

// startApp starts the app on a free port, its output on the program's standard error.
func (s *session) startApp(a App) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if a.Storage != "" {
		if err := os.MkdirAll(a.Storage, 0o700); err != nil {
			return nil, fmt.Errorf("making the app's storage: %w", err)
		}
	}
	p := &process{port: port, done: make(chan struct{})}
	p.cmd = exec.Command("/bin/sh", "-c", a.Run)
	p.cmd.Env = slices.Concat(s.env, []string{"PORT=" + strconv.Itoa(port)})
	for k, v := range a.Env {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	p.cmd.Stdout, p.cmd.Stderr = s.err, s.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the app: %w", err)
	}
	go p.wait()
	return p, nil
}

// freePort is a port nobody listens on. In a sandbox nobody else is there to take it meanwhile.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (p *process) url() string { return "http://" + p.addr() }

func (p *process) addr() string { return "127.0.0.1:" + strconv.Itoa(p.port) }

func (p *process) wait() {
	_ = p.cmd.Wait()
	p.how = fmt.Sprintf("exit status %d", p.cmd.ProcessState.ExitCode())
	if w, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		p.how = fmt.Sprintf("killed by signal %d", w.Signal())
	}
	close(p.done)
}

// exited says how the app ended, or "" while it runs.
func (p *process) exited() string {
	select {
	case <-p.done:
		return p.how
	default:
		return ""
	}
}

// end asks the app and what it started to end, and after grace ends them.
func (p *process) end(grace time.Duration) {
	if p.exited() == "" {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// awaitReady returns when the app answers. Its error is for the pusher.
func (p *process) awaitReady(ctx context.Context, a App) error {
	ctx, cancel := context.WithTimeout(ctx, a.Ready)
	defer cancel()
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	go func() {
		select {
		case <-p.done:
			gone(errExited)
		case <-ctx.Done():
		}
	}()
	last := await(ctx, prober{addr: p.addr(), path: a.Path})
	switch {
	case last == nil && p.exited() == "":
		return nil
	case p.exited() != "":
		return fmt.Errorf("the app exited before it was ready (%s)", p.how)
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("the app did not become ready within %s: %w", a.Ready, last)
	default:
		return errors.New("the app was not ready when the step was ended")
	}
}

var errExited = errors.New("the app exited")
