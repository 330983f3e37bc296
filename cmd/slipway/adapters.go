package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/control"
	"slipway/deploy/monitor"
	"slipway/deploy/release"
	"slipway/deploy/retention"
	"slipway/deploy/sandbox"
	"slipway/deploy/traffic"
	"slipway/deploy/variables"
	"slipway/gitserver"
)

// Each of these makes one package's type what another's interface asks for.

type recorderOf struct{ *retention.Reserve }

func (r recorderOf) Record(ctx context.Context, e deploy.Event) error {
	_, err := r.Reserve.Record(ctx, e)
	return err
}

type watcherOf struct{ *monitor.Monitor }

func (w watcherOf) Watch(ctx context.Context, c deploy.Candidate, m *deploy.Manifest, decide bool, report func(deploy.Measurement)) (deploy.WatchResult, error) {
	return w.Monitor.Watch(ctx, monitor.Subject{Candidate: c, Manifest: m, Decide: decide}, report)
}

type routerOf struct{ *traffic.Client }

func (r routerOf) Route(ctx context.Context, app deploy.AppName, release deploy.Number, upstreams []deploy.Instance) error {
	return r.Client.Route(ctx, traffic.Route{App: app, Release: release, Upstreams: upstreams})
}

// engineOf runs one-offs as control asks for them.
type engineOf struct{ *release.Local }

func (e engineOf) OneOff(ctx context.Context, t deploy.Target, n deploy.Number, command []string, std control.Stdio) (control.OneOffResult, error) {
	r, err := e.Local.OneOff(ctx, t, n, command, sandbox.Stdio{In: std.In, Out: std.Out, Err: std.Err})
	return control.OneOffResult{ExitCode: r.ExitCode, Struck: r.Struck}, err
}

// trail is the audit log as control asks for it.
type trail struct {
	layout   deploy.Layout
	recorder *audit.Recorder
}

func (t trail) State() deploy.ChainState {
	head := t.recorder.Head()
	return deploy.ChainState{Sequence: head.Sequence, Hash: head.Hash, Behind: t.recorder.Behind()}
}

func (t trail) Verify(ctx context.Context) (deploy.ChainReport, deploy.Event, error) {
	known := []audit.Head{t.recorder.Head()}
	found, err := verifyAll(ctx, t.layout, known)
	if err != nil {
		return deploy.ChainReport{}, deploy.Event{}, err
	}
	report := deploy.ChainReport{
		Files: found.Files, Events: found.Events, More: found.More,
		Head: deploy.ChainState{Sequence: found.Head.Sequence, Hash: found.Head.Hash},
	}
	for _, f := range found.Findings {
		report.Findings = append(report.Findings, deploy.ChainFinding{Kind: string(f.Kind), File: f.File, Line: f.Line, Detail: f.Detail})
	}
	return report, verifiedEvent(found, len(known)), nil
}

// overSSH runs commands with the rights of the key.
type overSSH struct{ *commands }

func (o overSSH) Run(ctx context.Context, from gitserver.Caller, args []string, std gitserver.Stdio) int {
	who := deploy.Caller{Actor: from.Pusher.Actor(), User: from.User.Name, Key: from.Pusher, Admin: from.User.Role == deploy.RoleAdmin}
	return o.run(ctx, who, args, stdio{std.In, std.Out, std.Err})
}

// remembered is check, but for some time after it has found nothing wrong it is not asked again: every
// push asks twice, and the trial of a sandbox costs as much as a build step.
func remembered(check func(context.Context) error, trust time.Duration) func(context.Context) error {
	var mu sync.Mutex
	var good time.Time
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(good) < trust {
			return nil
		}
		err := check(ctx)
		if err == nil {
			good = time.Now()
		}
		return err
	}
}

// ready tells why nothing can be built or run here now. Without the key every app with variables is
// concerned; a broken file of one app is that app's alone.
func ready(sandboxed func(context.Context) error, vars *variables.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		err := sandboxed(ctx)
		if unreadable := vars.Check(ctx); errors.Is(unreadable, variables.ErrNoKey) {
			err = errors.Join(err, unreadable)
		}
		return err
	}
}
