package release

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

// OneOff runs a command where release n's instances run: the release at /app, the app's storage, its
// variables as they are now, the host's network. It gets no traffic. Everything it started is ended
// when it returns, or when ctx ends. What the command prints is passed on as it is, the values of variables
// included.
//
// One word is given to a shell; several are a program and its arguments.
func (e *Local) OneOff(ctx context.Context, t deploy.Target, n deploy.Number, command []string, stdio sandbox.Stdio) (sandbox.Result, error) {
	var none sandbox.Result
	p, err := e.plan(t.App, n)
	if err != nil {
		return none, err
	}
	vars, err := e.config.Variables.Read(ctx, t.App)
	if err != nil {
		return none, err
	}
	if err := e.makeStorage(p.Job.App); err != nil {
		return none, err
	}
	web, _ := p.Job.Manifest.Web()
	box := e.surroundings(&p.Job, web.Env, web.Limits)
	box.Env = withVariables(box.Env, vars.All())
	// It is no part of release n, whose end must not end it. Sweep finds it, as one of release 0, and Prune
	// sees which release it works in.
	box.Name = oneOffPrefix(t.App) + n.String() + "." + strings.ToLower(rand.Text())
	box.Argv = append([]string{"/bin/sh", "-c", `exec "$@"`, "sh"}, command...)
	if len(command) == 1 {
		box.Argv = []string{"/bin/sh", "-c", command[0]}
	}
	process, err := e.config.Sandbox.Start(ctx, box, stdio)
	if err != nil {
		return none, fmt.Errorf("running a command of %s: %w", t, err)
	}
	result, err := process.Wait()
	if err != nil {
		return none, fmt.Errorf("running a command of %s: %w", t, err)
	}
	return result, nil
}

// oneOffPrefix begins the names of an app's one-offs; their release's number follows.
func oneOffPrefix(app deploy.AppName) string { return sandboxPrefix(app, 0) + "run." }

// inUse lists the releases that one-offs work in, whichever process started them.
func (e *Local) inUse(app deploy.AppName) ([]deploy.Number, error) {
	names, err := e.config.Sandbox.Names()
	if err != nil {
		return nil, fmt.Errorf("listing one-offs: %w", err)
	}
	var used []deploy.Number
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, oneOffPrefix(app))
		number, _, _ := strings.Cut(rest, ".")
		if n, err := deploy.ParseNumber(number); ok && err == nil {
			used = append(used, n)
		}
	}
	return used, nil
}
