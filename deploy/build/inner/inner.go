package inner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Exit statuses of the program itself. A script may exit with the same ones, so the report decides.
const (
	statusNotReady = 124
	statusFault    = 125
)

// Main runs the program: args are those that [Plan.Args] or [ConnectArgs] made. It returns the exit status, which is
// the script's own wherever the script ran (128 and the signal's number if a signal ended it). The
// script's output goes to standard output and standard error; where an app runs beside it, standard
// error is the app's alone and the script's goes to standard output together.
func Main(args []string) int {
	if len(args) > 0 && args[0] == connectWord {
		return connectMain(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	plan, argv, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway inner:", err)
		return statusFault
	}
	s := &session{plan: plan, env: os.Environ(), out: os.Stdout, err: os.Stderr}
	status, err := s.run(ctx, argv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway inner:", err)
		s.report.Fault = err.Error()
		status = statusFault
	}
	if err := s.send(); err != nil {
		fmt.Fprintln(os.Stderr, "slipway inner:", err)
	}
	return status
}

// session is one run of the program.
type session struct {
	plan     Plan
	env      []string
	out, err *os.File
	report   Report
}

// run does all of the plan, in order. An error is a fault of the program, not of the script.
func (s *session) run(ctx context.Context, argv []string) (int, error) {
	if s.plan.Egress != "" {
		f, err := listen(s.plan.Egress, s.err)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		s.env = append(s.env, proxyEnv(f.Addr())...)
	}
	if s.plan.App == nil {
		return s.script(ctx, argv, s.err)
	}
	app, err := s.startApp(*s.plan.App)
	if err != nil {
		return 0, err
	}
	defer app.end(s.plan.App.Grace)
	began := time.Now()
	if err := app.awaitReady(ctx, *s.plan.App); err != nil {
		s.report.NotReady = err.Error()
		return statusNotReady, nil
	}
	fmt.Fprintf(s.out, "app ready at %s after %.1fs\n", app.url(), time.Since(began).Seconds())
	s.env = append(s.env, "APP_URL="+app.url(), "PORT="+strconv.Itoa(app.port))
	status, err := s.script(ctx, argv, s.out)
	s.report.AppExit = app.exited()
	return status, err
}

// script runs the step's script to its end and passes a TERM on to its process group. A command that
// cannot be started is as in a shell: status 127.
func (s *session) script(ctx context.Context, argv []string, stderr *os.File) (int, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, s.out, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting script: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) })
	defer stop()
	err := cmd.Wait()
	if _, isExit := errors.AsType[*exec.ExitError](err); err != nil && !isExit {
		return 0, fmt.Errorf("waiting for script: %w", err)
	}
	return status(cmd.ProcessState), nil
}

// status is how a shell would tell of a process's end.
func status(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// send hands the report to the server, and waits until it was read: closed from the other side.
func (s *session) send() error {
	if s.plan.Report == "" || s.report == (Report{}) {
		return nil
	}
	conn, err := net.Dial("unix", s.plan.Report)
	if err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(s.report); err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	_, _ = io.Copy(io.Discard, conn)
	return nil
}
