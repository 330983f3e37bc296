package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/control"
	"slipway/deploy/keeper"
)

// restart replaces the serving instances by new ones, which get the variables as they are now.
func (c *commands) restart(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("restart").parse(args, 1, 1)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	n, err := c.control.Restart(ctx, who, app)
	if r, ok := deploy.AsRejection(err); ok {
		for _, line := range r.Tail {
			fmt.Fprintln(std.err, "  "+line)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is restarted: release %d, with the variables as they are now\n", app, n)
	return nil
}

// runOne runs a command where the instances of the serving release run. Its exit status is the command's.
func (c *commands) runOne(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if len(args) > 1 && args[1] == "--" {
		args = slices.Delete(slices.Clone(args), 1, 2)
	}
	if len(args) < 2 || strings.HasPrefix(args[0], "-") {
		return newFlags("run").misused("say of which app, and what to run")
	}
	app, err := appNamed(args[0])
	if err != nil {
		return err
	}
	result, err := c.control.OneOff(ctx, who, app, args[1:], control.Stdio{In: std.in, Out: std.out, Err: std.err})
	if err != nil {
		return err
	}
	if result.Struck != "" {
		fmt.Fprintln(std.err, "slipway: "+result.Struck)
	}
	if result.ExitCode != 0 {
		return exitStatus(result.ExitCode)
	}
	return nil
}

// logsInterval is how often followed logs are looked at.
const logsInterval = 200 * time.Millisecond

// logs prints what the instances say that get an app's traffic, and with -f goes on doing so, whichever
// they are.
func (c *commands) logs(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("logs")
	follow := f.Bool("f", false, "")
	last := f.Int("n", 100, "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if *last < 0 || *last > 1_000_000 {
		return usageError("-n is 0 to 1000000")
	}
	name, err := appNamed(names[0])
	if err != nil {
		return err
	}
	app, err := c.control.App(ctx, who, name, deploy.RightRead)
	if err != nil {
		return err
	}
	v := &logView{commands: c, target: deploy.Target{App: app.Name, Environment: deploy.Production}, std: std, last: *last}
	defer v.close()
	if err := v.look(ctx); err != nil {
		return err
	}
	if !*follow {
		if v.release == 0 {
			return control.NothingDeployed(app.Name)
		}
		if len(v.shown) == 0 {
			return deploy.Reject(deploy.CodeNotFound, "no instance of %s runs here", app.Name)
		}
		return v.finish()
	}
	tick := time.NewTicker(logsInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := v.look(ctx); err != nil {
			return err
		}
	}
}

// logView is what one person is shown of an app's logs: each line after the name of the instance, on
// standard output; whose instances they are, on standard error.
type logView struct {
	*commands
	target deploy.Target
	std    stdio
	last   int // lines of an instance that was there when the view began

	begun   bool
	release deploy.Number
	shown   []*shownLog
}

type shownLog struct {
	instance deploy.Instance
	log      *keeper.Follower
	out      *prefixed
}

// look shows what is new.
func (v *logView) look(ctx context.Context) error {
	n, err := v.pipeline.InForce(ctx, v.target)
	if err != nil {
		return err
	}
	if n != v.release {
		v.release = n
		fmt.Fprintf(v.std.err, "%s: release %d\n", v.target.App, n)
	}
	instances, err := v.engine.Instances(ctx, v.target, n)
	if err != nil {
		return err
	}
	for _, i := range instances {
		if err := v.add(i); err != nil {
			return err
		}
	}
	v.begun = true
	// Those that drain, too, until they are gone.
	var still []*shownLog
	for _, s := range v.shown {
		gone := s.log.Gone()
		if err := s.show(); err != nil {
			return exitStatus(exitFailed) // whoever read has gone
		}
		if !gone {
			still = append(still, s)
			continue
		}
		if err := s.out.flush(); err != nil {
			return exitStatus(exitFailed)
		}
		s.log.Close()
	}
	v.shown = still
	return nil
}

// add shows an instance, unless it is shown already. One that was started since the view began is shown
// from its beginning.
func (v *logView) add(i deploy.Instance) error {
	same := func(s *shownLog) bool {
		return s.instance.Release == i.Release && s.instance.Process == i.Process && s.instance.Index == i.Index
	}
	if slices.ContainsFunc(v.shown, same) {
		return nil
	}
	s := &shownLog{instance: i, log: v.engine.Log(i), out: &prefixed{to: v.std.out, prefix: fmt.Sprintf("%s.%d: ", i.Process, i.Index)}}
	v.shown = append(v.shown, s)
	if v.begun {
		return nil
	}
	return s.log.Last(v.last)
}

func (s *shownLog) show() error {
	_, err := io.Copy(s.out, s.log)
	if s.log.Lost() && err == nil {
		_, err = io.WriteString(s.out, "(lines are missing here: the log was rotated faster than it could be read)\n")
	}
	return err
}

// finish shows lines that have no end yet.
func (v *logView) finish() error {
	for _, s := range v.shown {
		if err := s.out.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (v *logView) close() {
	for _, s := range v.shown {
		s.log.Close()
	}
}

// prefixed passes whole lines on, each after a prefix.
type prefixed struct {
	to     io.Writer
	prefix string
	rest   []byte
}

// maxLogLine is how long a line is shown as one, in bytes.
const maxLogLine = 64 << 10

func (p *prefixed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	var out []byte
	for {
		end := bytes.IndexByte(p.rest, '\n') + 1
		if end == 0 && len(p.rest) < maxLogLine {
			break
		}
		if end == 0 || end > maxLogLine {
			out = append(append(append(out, p.prefix...), p.rest[:maxLogLine-1]...), '\n')
			p.rest = p.rest[maxLogLine-1:]
			continue
		}
		out = append(append(out, p.prefix...), p.rest[:end]...)
		p.rest = p.rest[end:]
	}
	p.rest = bytes.Clone(p.rest)
	if len(out) == 0 {
		return len(b), nil
	}
	if _, err := p.to.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *prefixed) flush() error {
	if len(p.rest) == 0 {
		return nil
	}
	_, err := p.Write([]byte("\n"))
	return err
}
