// Package aside is the main of the processes that a push starts beside the server: the keeper of an
// instance, and the program inside a sandbox.
//
// They are started in every push, and Go initializes all packages of a program before its main begins:
// what imports the database and the proxy takes 8 ms to start, which this takes 2 for. So the package
// must stay small in what it imports. cmd/slipway-aside is nothing but it; cmd/slipway has it, too, for
// whoever starts a keeper by hand.
package aside

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"slipway/deploy"
	"slipway/deploy/build/inner"
	"slipway/deploy/release"
	"slipway/deploy/sandbox"
	"slipway/deploy/variables"
)

// The commands that this package knows.
const (
	CommandKeeper = "keeper"
	CommandInner  = "inner"
)

// ErrUsage says that a command line cannot be understood.
var ErrUsage = errors.New("usage")

// Main runs the command that args begin with and returns the exit status: 2 if it is none of this package.
func Main(args []string, stderr io.Writer) int {
	if len(args) > 0 && args[0] == CommandInner {
		return inner.Main(args[1:])
	}
	if len(args) == 0 || args[0] != CommandKeeper {
		fmt.Fprintln(stderr, "slipway: a server starts this program, with keeper or inner")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := Keeper(ctx, args[1:], stderr)
	if errors.Is(err, ErrUsage) {
		fmt.Fprintf(stderr, "slipway: %v\n", err)
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "slipway: %v\n", err)
		return 1
	}
	return 0
}

// KeeperArgv is how program starts the keeper of an instance whose sandbox is made by c; the instance's
// folder comes behind it.
func KeeperArgv(program string, c sandbox.Config) []string {
	argv := []string{program, CommandKeeper, "-sandbox", string(c.Mode), "-group", c.Group}
	if len(c.Toolchains) > 0 {
		argv = append(argv, "-toolchains", strings.Join(c.Toolchains, ":"))
	}
	return argv
}

// Keeper keeps one instance running until it is told to stop, or ctx ends:
// keeper [-sandbox MODE] [-group NAME] [-toolchains A:B] DIR. What it has to say goes to stderr.
func Keeper(ctx context.Context, args []string, stderr io.Writer) error {
	f := flag.NewFlagSet(CommandKeeper, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	mode := f.String("sandbox", string(sandbox.ModeBubblewrap), "")
	group := f.String("group", "", "")
	toolchains := f.String("toolchains", "", "")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("%w: keeper: %w", ErrUsage, err)
	}
	if f.NArg() != 1 {
		return fmt.Errorf("%w: keeper [-sandbox MODE] [-group NAME] [-toolchains A:B] DIR", ErrUsage)
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	c := sandbox.Config{Mode: sandbox.Mode(*mode), Group: *group, Logger: logger}
	if *toolchains != "" {
		c.Toolchains = strings.Split(*toolchains, ":")
	}
	dir, err := filepath.Abs(f.Arg(0))
	if err != nil {
		return err
	}
	return release.KeeperMain(ctx, dir, sandbox.New(c), variables.New(deploy.LayoutOf(dir)).Open, logger)
}
