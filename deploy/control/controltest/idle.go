package controltest

import (
	"context"
	"errors"
	"io"

	"slipway/deploy"
	"slipway/deploy/control"
)

// Idle is a [Machine] that has nothing to do, and runs release 1 of every app without an instance. Tests embed it
// and say for themselves what they are about.
type Idle struct{}

// Again accepts, as deployment 77.
func (Idle) Again(_ context.Context, r deploy.AgainRequest, _ io.Writer) deploy.Answer {
	if r.Queued != nil {
		r.Queued(77)
	}
	return deploy.Answer{Number: 77, Accepted: true}
}

// Cancel cancels nothing.
func (Idle) Cancel(deploy.Number, deploy.Actor, string) error { return nil }

// Hold does what is to be done.
func (Idle) Hold(ctx context.Context, _ deploy.Target, do func(context.Context) error) error {
	return do(ctx)
}

// PutRight finds nothing wrong.
func (Idle) PutRight(context.Context, deploy.App) error { return nil }

// Queue is empty.
func (Idle) Queue() []deploy.Waiting { return nil }

// Running is false of every deployment.
func (Idle) Running(deploy.Number) bool { return false }

// Serving is release 1.
func (Idle) Serving(context.Context, deploy.Target) (deploy.Number, error) { return 1, nil }

// Instances finds none.
func (Idle) Instances(context.Context, deploy.Target, deploy.Number) ([]deploy.Instance, error) {
	return nil, nil
}

// Inspect fails: there is none.
func (Idle) Inspect(context.Context, deploy.Instance) (deploy.InstanceState, error) {
	return deploy.InstanceState{}, errors.New("there is none")
}

// Restart restarts nothing.
func (Idle) Restart(context.Context, deploy.Target) error { return nil }

// OneOff runs nothing, and that well.
func (Idle) OneOff(context.Context, deploy.Target, deploy.Number, []string, control.Stdio) (control.OneOffResult, error) {
	return control.OneOffResult{}, nil
}
