package control

import (
	"context"

	"slipway/deploy"
)

// MarkRegression says that an accepted deployment had broken something, and by which later one it was
// mended, zero for none. Marking again replaces what was said.
func (c *Control) MarkRegression(ctx context.Context, who deploy.Caller, n deploy.Number, reason string, fixedBy deploy.Number) (deploy.Regression, error) {
	d, err := c.Deployment(ctx, who, n, deploy.RightPush)
	if err != nil {
		return deploy.Regression{}, err
	}
	var fix *deploy.Deployment
	if fixedBy != 0 {
		by, err := c.Deployment(ctx, who, fixedBy, deploy.RightRead)
		if err != nil {
			return deploy.Regression{}, err
		}
		if err := c.sameApp(ctx, who, d, by); err != nil {
			return deploy.Regression{}, err
		}
		fix = &by
	}
	if reason, err = reasonOf(reason); err != nil {
		return deploy.Regression{}, err
	}
	r, err := deploy.NewRegression(d, reason, fix)
	if err != nil {
		return r, err
	}
	r.MarkedAt = now()
	event := deploy.Event{
		Type: deploy.EventRegressionMarked, App: d.App, Environment: d.Environment, Ref: d.Ref, Deployment: n, Reason: r.Reason,
	}
	return r, c.Record(ctx, who, event.WithData(r))
}

// sameApp refuses two deployments one of which is of another app that had the name before.
func (c *Control) sameApp(ctx context.Context, who deploy.Caller, d, fix deploy.Deployment) error {
	app, err := c.App(ctx, who, d.App, deploy.RightRead)
	if r, ok := deploy.AsRejection(err); ok && r.Code == deploy.CodeNotFound {
		return nil // neither is of one that is there
	}
	if err == nil && app.CreatedAt.After(d.QueuedAt) != app.CreatedAt.After(fix.QueuedAt) {
		err = deploy.Reject(deploy.CodeUsage, "deployment %d is of another app that was called %s", d.Number, d.App)
	}
	return err
}

// Statistics tells what became of the deployments of the apps that the caller may read.
func (c *Control) Statistics(ctx context.Context, who deploy.Caller, f deploy.StatisticsFilter) (deploy.Statistics, error) {
	if f.App != "" {
		if _, err := c.App(ctx, who, f.App, deploy.RightRead); err != nil {
			return deploy.Statistics{}, err
		}
	}
	f.VisibleTo = who.Scope()
	return c.Records.Statistics(ctx, f)
}
