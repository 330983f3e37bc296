package main

import (
	"context"

	"slipway/deploy"
	"slipway/deploy/pipeline"
)

func (c *commands) rollback(ctx context.Context, who caller, args []string, std stdio) error {
	return c.again(ctx, who, deploy.AgainRollback, args, std)
}

func (c *commands) redeploy(ctx context.Context, who caller, args []string, std stdio) error {
	return c.again(ctx, who, deploy.AgainRedeploy, args, std)
}

// again deploys what was deployed before. What happens is written as a pusher reads it; the exit status
// tells the verdict.
func (c *commands) again(ctx context.Context, who caller, kind deploy.AgainKind, args []string, std stdio) error {
	f := newFlags(string(kind))
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 2)
	if err != nil {
		return err
	}
	app, err := c.app(ctx, who, names[0], deploy.RightPush)
	if err != nil {
		return err
	}
	if kind == deploy.AgainRollback && *reason == "" {
		return usageError("say why, for history: slipway rollback " + string(app.Name) + " -reason \"…\"")
	}
	again := deploy.Again{Kind: kind, Reason: *reason}
	if len(names) == 2 {
		if again.Of, err = deploy.ParseNumber(names[1]); err != nil {
			return usageError(err.Error())
		}
	} else if again.Of, err = c.usual(ctx, app, kind); err != nil {
		return err
	}
	request := pipeline.AgainRequest{App: app, Again: again, Caller: who.pusher()}
	if answer := c.pipeline.Again(ctx, request, std.err); !answer.Accepted {
		return exitStatus(exitFailed)
	}
	return nil
}

// pusher is the caller as the gate sees one.
func (w caller) pusher() deploy.Pusher {
	p := w.key
	p.Admin = w.admin
	if w.user == "" {
		p.User = deploy.UserName(w.actor.Name)
	}
	return p
}

// usual is what is deployed again if no number is given: for a redeploy what serves, for a roll back
// the newest good release before that. A release that was rolled back from is newer, so it is not taken.
func (c *commands) usual(ctx context.Context, app deploy.App, kind deploy.AgainKind) (deploy.Number, error) {
	state, err := c.store.TargetState(ctx, deploy.Target{App: app.Name, Environment: deploy.Production})
	if err != nil {
		return 0, err
	}
	if state.Serving == 0 {
		return 0, deploy.Reject(deploy.CodeNotFound, "nothing of %s is deployed", app.Name)
	}
	if kind == deploy.AgainRedeploy {
		return state.Serving, nil
	}
	releases, err := c.store.Releases(ctx, app.Name)
	if err != nil {
		return 0, err
	}
	for _, r := range releases { // newest first
		if r.Number < state.Serving {
			return r.Number, nil
		}
	}
	return 0, deploy.Reject(deploy.CodeNotFound, "%s has no good release before %d", app.Name, state.Serving)
}
