package control

import (
	"context"

	"slipway/deploy"
)

// MarkRegression says that an accepted deployment had broken something, and by which later one it was
// mended, zero for none. Marking again replaces what was said.
func (c *Control) MarkRegression(ctx context.Context, who deploy.Caller, n deploy.Number, reason string, fixedBy deploy.Number) error {
	d, err := c.Deployment(ctx, who, n, deploy.RightPush)
	if err != nil {
		return err
	}
	if reason, err = needReason(reason); err != nil {
		return err
	}
	if d.Status != deploy.StatusAccepted {
		return deploy.Reject(deploy.CodeUsage, "deployment %d was %s: only one that was accepted can have broken something", n, d.Status)
	}
	if fixedBy != 0 {
		mend, err := c.Deployment(ctx, who, fixedBy, deploy.RightRead)
		if err != nil {
			return err
		}
		if mend.App != d.App || mend.Number <= d.Number || mend.Status != deploy.StatusAccepted {
			return deploy.Reject(deploy.CodeUsage, "deployment %d is no later accepted one of %s", fixedBy, d.App)
		}
	}
	event := deploy.Event{Type: deploy.EventRegressionMarked, App: d.App, Environment: d.Environment, Deployment: n, Reason: reason}
	return c.Record(ctx, who, event.WithData(deploy.Regression{Deployment: n, Reason: reason, FixedBy: fixedBy, MarkedAt: now()}))
}
