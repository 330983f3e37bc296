// Command slipway is a git server that deploys inside git push: the server itself, the processes it
// keeps beside it, and the client of every command.
//
// "slipway serve" runs the server (wire.go is the only place that wires). "slipway init" writes a
// manifest in a working tree. keeper, router and inner are started by the server, never by hand, and
// hidden from the help but not from ps. Every other command is sent to the running server through
// DATA/slipway.sock (control.go) and runs there (command.go), exactly as "ssh host COMMAND" does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"slipway/deploy/build/inner"
)

// version is set by the linker.
var version = "devel"

// stdio is where a command reads and writes: its result on out, everything said about it on err.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// Exit statuses. A refused push or command is never 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

func run(args []string, std stdio) int {
	if len(args) > 0 && args[0] == "inner" { // before anything else: it runs inside the sandbox
		return inner.Main(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, args, std)
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(std.err, "slipway: "+usage.Error())
		return exitUsage
	}
	if err != nil {
		fmt.Fprintf(std.err, "slipway: %v\n", err)
		return exitFailed
	}
	return 0
}

// ownSignals is for a command that deploys: when its terminal is closed (SIGHUP) it ends in order, as on
// Ctrl-C, and when nobody reads any more what it prints (SIGPIPE) it goes on. Programs that it starts have
// neither from it.
func ownSignals(ctx context.Context) (context.Context, func()) {
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	stop := func() { signal.Stop(unread) }
	if signal.Ignored(syscall.SIGHUP) { // nohup(1)
		return ctx, stop
	}
	ctx, end := signal.NotifyContext(ctx, syscall.SIGHUP)
	return ctx, func() { end(); stop() }
}

// exitStatus is an error that has said everything already.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a command line that cannot be understood.
type usageError string

func (e usageError) Error() string { return string(e) }

func dispatch(ctx context.Context, args []string, std stdio) error {
	global := newFlags("slipway")
	data := global.String("data", "", "")
	rest, err := global.parseLeading(args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		fmt.Fprint(std.err, helpText("help"))
		return exitStatus(exitUsage)
	}
	if page, ok := helpAsked(rest); ok {
		return help(page, std)
	}
	switch name, args := rest[0], rest[1:]; name {
	case "serve":
		return serveCommand(ctx, *data, args, std)
	case "init":
		return initCommand(args, std)
	case "backup":
		return backupCommand(ctx, *data, args, std)
	case "restore":
		return restoreCommand(ctx, *data, args, std)
	case "doctor":
		return doctorCommand(ctx, *data, args, std)
	case "audit":
		return auditCommand(ctx, *data, args, std)
	case "deploy":
		return deployCommand(ctx, *data, args, std)
	case "keeper":
		return keeperCommand(ctx, args, std)
	case "router":
		return routerCommand(ctx, args, std)
	case "version", "-version", "--version":
		fmt.Fprintln(std.out, version)
		return nil
	default:
		if helpText(name) == "" {
			return usageError(unknownCommand(name))
		}
		return remoteCommand(ctx, *data, rest, std)
	}
}
