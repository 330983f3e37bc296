package control

import (
	"context"
	"path/filepath"
	"strings"

	"slipway/deploy"
)

// Deployments returns deployments that fit the filter, of the apps that the caller may read, newest first.
func (c *Control) Deployments(ctx context.Context, who deploy.Caller, f deploy.DeploymentFilter) ([]deploy.Deployment, error) {
	if f.App != "" {
		if _, err := c.App(ctx, who, f.App, deploy.RightRead); err != nil {
			return nil, err
		}
	}
	f.VisibleTo = who.Scope()
	return c.Records.Deployments(ctx, f)
}

// Events returns recorded events that fit the filter, of the apps that the caller may read, newest first.
// Those of no app are for who may read all.
func (c *Control) Events(ctx context.Context, who deploy.Caller, f deploy.EventFilter) ([]deploy.Event, error) {
	if f.App != "" {
		if _, err := c.App(ctx, who, f.App, deploy.RightRead); err != nil {
			return nil, err
		}
	}
	if f.Deployment != 0 {
		if _, err := c.Deployment(ctx, who, f.Deployment, deploy.RightRead); err != nil {
			return nil, err
		}
	}
	f.VisibleTo = who.Scope()
	return c.Records.Events(ctx, f)
}

// Stages returns a deployment and its stages in the order they began.
func (c *Control) Stages(ctx context.Context, who deploy.Caller, n deploy.Number) (deploy.Deployment, []deploy.StageRecord, error) {
	d, err := c.Deployment(ctx, who, n, deploy.RightRead)
	if err != nil {
		return d, nil, err
	}
	stages, err := c.Records.Stages(ctx, n)
	if err != nil {
		return d, nil, err
	}
	all := make([]deploy.StageRecord, len(stages))
	for i, s := range stages {
		data, err := c.Records.StageData(ctx, n, s.Name)
		if err != nil {
			return d, nil, err
		}
		all[i] = deploy.StageRecord{Stage: s, StageData: data}
	}
	return d, all, nil
}

// Transcript is the name, beside those of stages, of the log of what the pusher read.
const Transcript = "transcript"

// LogPath returns the file of a stage's log, or of the transcript. The file of one that was pruned is
// not there.
func (c *Control) LogPath(ctx context.Context, who deploy.Caller, n deploy.Number, name string) (string, error) {
	d, err := c.Deployment(ctx, who, n, deploy.RightRead)
	if err != nil {
		return "", err
	}
	stages, err := c.Records.Stages(ctx, d.Number)
	if err != nil {
		return "", err
	}
	known := make([]string, 0, len(stages)+1)
	for _, s := range stages {
		known = append(known, string(s.Name))
	}
	known = append(known, Transcript)
	for _, k := range known {
		if k == name {
			return filepath.Join(c.Layout.Deployment(d.Number), name+".log"), nil
		}
	}
	return "", deploy.Reject(deploy.CodeNotFound, "deployment %d has no stage %.60q", d.Number, name).WithHint("it has: %s", strings.Join(known, ", "))
}

// Running tells whether a deployment is in work or waits.
func (c *Control) Running(n deploy.Number) bool { return c.Pipeline.Running(n) }

// Cancel ends a deployment that waits or has not been switched.
func (c *Control) Cancel(ctx context.Context, who deploy.Caller, n deploy.Number, reason string) error {
	d, err := c.Deployment(ctx, who, n, deploy.RightPush)
	if err != nil {
		return err
	}
	if reason, err = reasonOf(reason); err != nil {
		return err
	}
	return c.Pipeline.Cancel(d.Number, who.Actor, reason)
}

// MeasurementsPath returns the file of what a deployment's watch measured. It may not be there.
func (c *Control) MeasurementsPath(ctx context.Context, who deploy.Caller, n deploy.Number) (string, error) {
	d, err := c.Deployment(ctx, who, n, deploy.RightRead)
	return filepath.Join(c.Layout.Deployment(d.Number), "monitor.jsonl"), err
}
