package control

import (
	"context"
	"io"
	"strings"

	"slipway/deploy"
)

// Stdio is where a one-off reads and writes.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// OneOffResult is how a one-off ended.
type OneOffResult struct {
	ExitCode int
	Struck   string // the limit that ended it; empty for none
}

// Restart replaces the serving instances of an app by new ones, which get the variables as they are
// now. It returns the release's number.
func (c *Control) Restart(ctx context.Context, who deploy.Caller, name deploy.AppName) (deploy.Number, error) {
	_, role, err := c.access(ctx, who, name, deploy.RightPush)
	if err != nil {
		return 0, err
	}
	target := production(name)
	state, err := c.Records.TargetState(ctx, target)
	if err != nil {
		return 0, err
	}
	if state.Frozen != "" && role != deploy.RoleAdmin {
		return 0, deploy.Reject(deploy.CodeFrozen, "%s is frozen: %s", name, state.Frozen).WithHint("an admin may restart it all the same")
	}
	var n deploy.Number
	err = c.Pipeline.Hold(ctx, target, func(ctx context.Context) error {
		// Once begun it is not the caller's to interrupt: half of it would leave twice the instances.
		n, err = c.restartHeld(context.WithoutCancel(ctx), who, target)
		return err
	})
	return n, c.withoutKey(who, name, err)
}

func (c *Control) restartHeld(ctx context.Context, who deploy.Caller, t deploy.Target) (deploy.Number, error) {
	n, err := c.Engine.Serving(ctx, t)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, deploy.Reject(deploy.CodeNotFound, "nothing of %s runs here", t.App)
	}
	event := deploy.Event{Type: deploy.EventRestartIntended, App: t.App, Environment: t.Environment, Deployment: n}
	if err := c.Record(ctx, who, event); err != nil {
		return n, err
	}
	err = c.Engine.Restart(ctx, t)
	event.Type, event.Outcome = deploy.EventRestarted, deploy.OutcomePass
	if err != nil {
		event.Outcome = deploy.OutcomeFail
	}
	if rec := c.Record(ctx, who, event); err == nil {
		err = rec
	}
	return n, err
}

// maxCommand is how much of a one-off's command is recorded, in bytes.
const maxCommand = 1 << 10

// OneOff runs a command where the instances of the serving release run.
func (c *Control) OneOff(ctx context.Context, who deploy.Caller, name deploy.AppName, command []string, std Stdio) (OneOffResult, error) {
	var none OneOffResult
	if _, err := c.App(ctx, who, name, deploy.RightPush); err != nil {
		return none, err
	}
	target := production(name)
	state, err := c.Records.TargetState(ctx, target)
	if err != nil {
		return none, err
	}
	if state.Serving == 0 {
		return none, NothingDeployed(name)
	}
	vars, err := c.Variables.Read(ctx, name)
	if err != nil {
		return none, c.withoutKey(who, name, err)
	}
	said := c.Mask(vars.All(), strings.Join(command, " "))
	if len(said) > maxCommand {
		said = strings.ToValidUTF8(said[:maxCommand], "") + "…"
	}
	event := deploy.Event{Type: deploy.EventRunStarted, App: name, Environment: target.Environment, Deployment: state.Serving}
	if err := c.Record(ctx, who, event.WithData(deploy.RunData{Command: said})); err != nil {
		return none, err
	}
	result, err := c.Engine.OneOff(ctx, target, state.Serving, command, std)
	return result, c.withoutKey(who, name, err)
}

// NothingDeployed says that there is nothing of an app to look at.
func NothingDeployed(app deploy.AppName) error {
	return deploy.Reject(deploy.CodeNotFound, "nothing of %s is deployed", app).WithHint("slipway deployments %s", app)
}
