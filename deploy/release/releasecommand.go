package release

import (
	"context"
	"fmt"
	"io"
	"strings"

	"slipway/deploy"
	"slipway/deploy/mask"
	"slipway/deploy/sandbox"
)

// releaseCommand runs the manifest's release command where the instances will run: the release at
// /app, the app's storage and variables, the host's network. So a migration reaches the same
// database as the app.
func (e *Local) releaseCommand(ctx context.Context, job *deploy.Job, log io.Writer) error {
	step := job.Manifest.Deploy.Release
	if len(step.Commands) == 0 {
		return nil
	}
	vars, err := e.config.Variables.Read(ctx, job.App.Name)
	if err != nil {
		return err
	}
	box := e.surroundings(job, step.Env, step.Limits)
	box.Env = withVariables(box.Env, vars.All())
	box.Name = sandboxPrefix(job.App.Name, job.Number) + "release"
	box.Argv = script(step.Commands)
	box.Limits.Time = either(step.Limits.Timeout, e.config.Defaults.Timeout)
	if err := e.config.Sandbox.KillAll(ctx, box.Name); err != nil {
		return fmt.Errorf("running the release command: %w", err)
	}
	out := &recent{to: log}
	masked := mask.New(vars.All()).Writer(out)
	p, err := e.config.Sandbox.Start(ctx, box, sandbox.Stdio{Out: masked, Err: masked})
	if err != nil {
		return fmt.Errorf("running the release command: %w", err)
	}
	result, err := p.Wait()
	_ = masked.Close() // recent never fails
	if err != nil {
		return fmt.Errorf("running the release command: %w", err)
	}
	if result.Err() == nil {
		return nil
	}
	r := &deploy.Rejection{
		Code:    deploy.CodeRelease,
		Message: fmt.Sprintf("release command failed (%s)", result),
		Line:    "release command failed",
		Tail:    out.lines(tailLines),
	}
	if result.Struck != "" {
		limit, _, _ := strings.Cut(result.Struck, ";")
		r.Code, r.Line = deploy.CodeLimit, r.Line+" ("+limit+")"
	}
	return r
}
