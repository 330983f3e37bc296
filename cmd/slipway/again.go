package main

import (
	"context"

	"slipway/deploy"
)

func (c *commands) rollback(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	return c.again(ctx, who, deploy.AgainRollback, args, std)
}

func (c *commands) redeploy(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	return c.again(ctx, who, deploy.AgainRedeploy, args, std)
}

// again deploys what was deployed before. What happens is written as a pusher reads it; the exit status
// tells the verdict.
func (c *commands) again(ctx context.Context, who deploy.Caller, kind deploy.AgainKind, args []string, std stdio) error {
	f := newFlags(string(kind))
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 2)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	if kind == deploy.AgainRollback && *reason == "" {
		if _, err := c.control.App(ctx, who, app, deploy.RightPush); err != nil {
			return err
		}
		return usageError("say why, for history: slipway rollback " + string(app) + " -reason \"…\"")
	}
	again := deploy.Again{Kind: kind, Reason: *reason}
	if len(names) == 2 {
		if again.Of, err = numbered(names[1]); err != nil {
			return err
		}
	}
	answer, err := c.control.Again(ctx, who, app, again, std.err)
	if err == nil && !answer.Accepted {
		err = exitStatus(exitFailed)
	}
	return err
}
