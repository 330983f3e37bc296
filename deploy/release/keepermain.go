package release

import (
	"context"
	"log/slog"
	"os"
	"syscall"

	"slipway/deploy/keeper"
	"slipway/deploy/mask"
	"slipway/deploy/sandbox"
)

// KeeperMain is the main of an instance's keeper: it keeps what dir/spec.json says running in sb, until
// it is asked to stop or ctx ends, which should be tied to SIGTERM. sb must be made as the engine's is;
// open decrypts the instance's variables. What the instance says is in its log without their values.
//
// A person can start an instance again by hand with it: as long as "trial" is false in spec.json the
// instance is kept.
func KeeperMain(ctx context.Context, dir string, sb *sandbox.Sandbox, open Opener, logger *slog.Logger) error {
	s, err := readSpec(dir)
	if err != nil {
		return err
	}
	return keeper.Run(ctx, keeper.Config{
		Dir: dir, Trial: s.Trial, Grace: s.Grace, LogBytes: s.LogBytes, LogFiles: s.LogFiles, Logger: logger,
		Start: func(ctx context.Context, out *os.File) (keeper.Process, error) {
			// As it is now: an earlier one can have been read before this keeper had the folder for itself.
			s, err := readSpec(dir)
			if err != nil {
				return nil, err
			}
			// A keeper that was killed can leave processes for a moment, and an empty cgroup.
			if err := sb.KillAll(ctx, s.Sandbox.Name); err != nil {
				return nil, err
			}
			vars, err := open(s.Instance.App, s.Variables)
			if err != nil {
				return nil, err
			}
			return startBoxed(ctx, sb, s.Sandbox, vars, out)
		},
	})
}

// startBoxed starts an instance with its variables, its output going to out without their values.
func startBoxed(ctx context.Context, sb *sandbox.Sandbox, box sandbox.Spec, vars map[string]string, out *os.File) (keeper.Process, error) {
	box.Env = withVariables(box.Env, vars)
	stdio := sandbox.Stdio{Out: out, Err: out}
	masked := mask.New(vars).Writer(out)
	if len(vars) > 0 {
		stdio = sandbox.Stdio{Out: masked, Err: masked}
	}
	p, err := sb.Start(ctx, box, stdio)
	if err != nil {
		return nil, err
	}
	return boxed{p, masked}, nil
}

// boxed is a sandbox as a keeper sees it.
type boxed struct {
	process *sandbox.Process
	out     *mask.Writer
}

func (b boxed) PID() int                        { return b.process.PID() }
func (b boxed) Signal(sig syscall.Signal) error { return b.process.Signal(sig) }
func (b boxed) Kill() error                     { return b.process.Kill() }

func (b boxed) Wait() string {
	result, err := b.process.Wait()
	_ = b.out.Close() // a log that cannot be written stops nobody
	if err != nil {
		return keeper.NotStarted + err.Error()
	}
	return result.String()
}
