package control

import (
	"context"

	"slipway/deploy"
)

// Chain tells where the audit log ends; kept elsewhere, that proves later that nothing was changed.
func (c *Control) Chain(_ context.Context, _ deploy.Caller) deploy.ChainState { return c.Trail.State() }

// VerifyChain reads the whole audit log and records what was found. One at a time does so.
func (c *Control) VerifyChain(ctx context.Context, who deploy.Caller) (deploy.ChainReport, error) {
	if err := NeedAdmin(who); err != nil {
		return deploy.ChainReport{}, err
	}
	if !c.verifying.TryLock() {
		return deploy.ChainReport{}, deploy.Reject(deploy.CodeUnavailable, "the audit log is being verified already")
	}
	defer c.verifying.Unlock()
	report, event, err := c.Trail.Verify(ctx)
	if err != nil {
		return report, err
	}
	report.At = now()
	return report, c.Record(ctx, who, event)
}
