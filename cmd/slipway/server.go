package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"slipway/deploy"
)

// status says what runs, who is next, and whether it is safe.
func (c *commands) status(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("status").parse(args, 0, 0); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "slipway %s, up %s\n", version, time.Since(c.startedAt).Round(time.Second))
	if err := c.sandbox(ctx); err != nil {
		fmt.Fprintf(std.out, "NO SANDBOX: every push is refused: %v\n", err)
	}
	if err := c.variables.Check(ctx); err != nil && who.Everything() { // it names apps
		fmt.Fprintf(std.out, "VARIABLES CANNOT BE READ: %v\n", err)
	}
	apps, err := c.control.Apps(ctx, who)
	if err != nil {
		return err
	}
	for _, app := range apps {
		standing, err := c.control.Standing(ctx, who, app.Name)
		if err != nil {
			return err
		}
		c.printStanding(standing, std)
	}
	return nil
}

func (c *commands) printStanding(s deploy.Standing, std stdio) {
	fmt.Fprintf(std.out, "\n%s  %s\n", s.App.Name, serving(s.State))
	if s.State.Frozen != "" {
		fmt.Fprintf(std.out, "  FROZEN since %s: %s\n", s.State.FrozenAt.UTC().Format("2006-01-02 15:04 UTC"), s.State.Frozen)
	}
	for _, i := range s.Instances {
		word := "DOWN " + i.State.LastExit
		if i.State.Running {
			word = fmt.Sprintf("up %s, %d restarts, %d MiB", time.Since(i.State.StartedAt).Round(time.Second), i.State.Restarts, i.State.Memory>>20)
		}
		fmt.Fprintf(std.out, "  %s.%d  %s\n", i.Process, i.Index, word)
	}
	for _, w := range s.Queue {
		fmt.Fprintf(std.out, "  deployment %d by %s: %s for %s\n", w.Number, w.User, w.Where(), time.Since(w.Since).Round(time.Second))
	}
}

func (c *commands) freeze(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("freeze")
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	if strings.TrimSpace(*reason) == "" {
		if _, err := c.control.App(ctx, who, app, deploy.RightBypass); err != nil {
			return err
		}
		return usageError("say why, for every pusher to read: slipway freeze " + string(app) + " -reason \"…\"")
	}
	if err := c.control.Freeze(ctx, who, app, *reason); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is frozen: %s\n", app, *reason)
	return nil
}

func (c *commands) unfreeze(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("unfreeze")
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	if err := c.control.Unfreeze(ctx, who, app, *reason); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s takes deployments again\n", app)
	return nil
}

// stop ends the server with everything that would outlive it.
func (c *commands) stop(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("shutdown").parse(args, 0, 0); err != nil {
		return err
	}
	if who.Actor.Type != deploy.ActorOperator {
		return deploy.Reject(deploy.CodeForbidden, "only the operator at the server may shut it down").WithHint("on the server: slipway shutdown")
	}
	if err := c.control.Record(ctx, who, deploy.Event{Type: deploy.EventServerShutdown}); err != nil {
		// Who has to repair the disk must be able to end everything.
		fmt.Fprintf(std.err, "slipway: the audit log does not tell of this: %v\n", err)
	}
	fmt.Fprintln(std.out, "ending the server, its router and every instance")
	for _, w := range c.control.Pipeline.Queue() {
		if w.Place == 0 && (w.Stage == deploy.StageSwitch || w.Stage == deploy.StageMonitor) {
			fmt.Fprintf(std.out, "waiting for the verdict on deployment %d of %s by %s (%s for %s), for at most %s\n",
				w.Number, w.Target.App, w.User, w.Where(), time.Since(w.Since).Round(time.Second), stopTimeout)
		}
	}
	c.shutdown()
	return nil
}
