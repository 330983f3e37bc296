package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"slipway/deploy"
)

func join(words []string) string { return strings.Join(words, ", ") }

// status says what runs, who is next, and whether it is safe.
func (c *commands) status(ctx context.Context, who caller, args []string, std stdio) error {
	if _, err := newFlags("status").parse(args, 0, 0); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "slipway %s, up %s\n", version, time.Since(c.startedAt).Round(time.Second))
	if err := c.sandbox(ctx); err != nil {
		fmt.Fprintf(std.out, "NO SANDBOX: every push is refused: %v\n", err)
	}
	if err := c.variables.Check(ctx); err != nil && who.admin { // it names apps
		fmt.Fprintf(std.out, "VARIABLES CANNOT BE READ: %v\n", err)
	}
	apps, err := c.visible(ctx, who)
	if err != nil {
		return err
	}
	queue := c.pipeline.Queue()
	for _, app := range apps {
		target := deploy.Target{App: app.Name, Environment: deploy.Production}
		state, err := c.store.TargetState(ctx, target)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "\n%s  %s\n", app.Name, serving(state))
		if state.Frozen != "" {
			fmt.Fprintf(std.out, "  FROZEN since %s: %s\n", state.FrozenAt.UTC().Format("2006-01-02 15:04 UTC"), state.Frozen)
		}
		if err := c.instances(ctx, target, state, std); err != nil {
			return err
		}
		for _, w := range queue {
			if w.Target == target {
				fmt.Fprintf(std.out, "  deployment %d by %s: %s for %s\n", w.Number, w.User, w.Where(), time.Since(w.Since).Round(time.Second))
			}
		}
	}
	return nil
}

// instances lists what runs of the serving release.
func (c *commands) instances(ctx context.Context, t deploy.Target, s deploy.TargetState, std stdio) error {
	if s.Serving == 0 {
		return nil
	}
	instances, err := c.engine.Instances(ctx, t, s.Serving)
	if err != nil {
		return err
	}
	for _, i := range instances {
		state, err := c.engine.Inspect(ctx, i)
		if err != nil {
			return err
		}
		word := "DOWN " + state.LastExit
		if state.Running {
			word = fmt.Sprintf("up %s, %d restarts, %d MiB", time.Since(state.StartedAt).Round(time.Second), state.Restarts, state.Memory>>20)
		}
		fmt.Fprintf(std.out, "  %s.%d  %s\n", i.Process, i.Index, word)
	}
	return nil
}

func (c *commands) freeze(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("freeze")
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	app, err := c.app(ctx, who, names[0], deploy.RightBypass)
	if err != nil {
		return err
	}
	if strings.TrimSpace(*reason) == "" {
		return usageError("say why, for every pusher to read: slipway freeze " + string(app.Name) + " -reason \"…\"")
	}
	event := deploy.Event{Type: deploy.EventTargetFrozen, App: app.Name, Environment: deploy.Production, Reason: *reason}
	if err := c.record(ctx, who, event); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is frozen: %s\n", app.Name, *reason)
	return nil
}

func (c *commands) unfreeze(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("unfreeze")
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	app, err := c.app(ctx, who, names[0], deploy.RightBypass)
	if err != nil {
		return err
	}
	event := deploy.Event{Type: deploy.EventTargetUnfrozen, App: app.Name, Environment: deploy.Production, Reason: *reason}
	if err := c.record(ctx, who, event); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s takes deployments again\n", app.Name)
	return nil
}

// stop ends the server with everything that would outlive it.
func (c *commands) stop(_ context.Context, who caller, args []string, std stdio) error {
	if _, err := newFlags("shutdown").parse(args, 0, 0); err != nil {
		return err
	}
	if who.user != "" {
		return deploy.Reject(deploy.CodeForbidden, "only the operator at the server may shut it down").WithHint("on the server: slipway shutdown")
	}
	fmt.Fprintln(std.out, "ending the server, its router and every instance")
	c.shutdown()
	return nil
}
