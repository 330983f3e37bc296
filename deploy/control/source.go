package control

import (
	"context"

	"slipway/deploy"
)

// Commits returns the commits that a deployment brought, at most so many.
func (c *Control) Commits(ctx context.Context, who deploy.Caller, n deploy.Number, most int) (deploy.History, error) {
	d, err := c.source(ctx, who, n)
	if err != nil {
		return deploy.History{}, err
	}
	return c.Sources.Commits(ctx, d.App, d.Old, d.New, most)
}

// Diff returns what a deployment changed in the tree.
func (c *Control) Diff(ctx context.Context, who deploy.Caller, n deploy.Number, limits deploy.DiffLimits) (deploy.Diff, error) {
	d, err := c.source(ctx, who, n)
	if err != nil {
		return deploy.Diff{}, err
	}
	return c.Sources.Diff(ctx, d.App, d.Old, d.New, limits)
}

// source is a deployment whose app is there: another one of its name has another repository.
func (c *Control) source(ctx context.Context, who deploy.Caller, n deploy.Number) (deploy.Deployment, error) {
	d, err := c.Deployment(ctx, who, n, deploy.RightRead)
	if err != nil {
		return d, err
	}
	app, err := c.App(ctx, who, d.App, deploy.RightRead)
	if err == nil && app.CreatedAt.After(d.QueuedAt) {
		err = deploy.Reject(deploy.CodeNotFound, "the repository of deployment %d was removed with its app", n)
	}
	return d, err
}
