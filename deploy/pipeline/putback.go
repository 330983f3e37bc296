package pipeline

import (
	"context"
	"errors"
	"fmt"

	"slipway/deploy"
)

// putBack returns production to the release before the deployment, and returns the error for which it
// does so. If production cannot be put back that becomes a fault of its own, freezes the target, and
// is what everybody hears.
func (p *Pipeline) putBack(ctx context.Context, d *deployment, c *candidate, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.UndoTimeout)
	defer cancel()
	shown := d.term.begin("roll back")
	err := p.rollBack(ctx, d, c, cause)
	shown.end(outcomeOf(err), shown.elapsed())
	if err != nil {
		return &rollbackFailed{number: d.Number, cause: cause, err: err}
	}
	d.Reason = reasonOf(cause)
	if err := p.hook(ctx, d, c.job, "after_rollback", c.job.Manifest.Hooks.AfterRollback); err != nil {
		d.term.note("the hook after_rollback failed: " + reasonOf(err))
	}
	p.afterReject(d, c.job, cause)
	p.discard(d)
	return cause
}

func (p *Pipeline) rollBack(ctx context.Context, d *deployment, c *candidate, cause error) error {
	back := deploy.SwitchData{From: d.Release(), To: d.Previous}
	event := deploy.Event{Type: deploy.EventRollbackIntended, Stage: d.FailedStage, Reason: reasonOf(cause)}.WithData(back)
	unrecorded := d.recordDone(ctx, event)
	d.inForce.Store(false)
	err := p.returnTraffic(ctx, c.engine, d.Target(), back)
	if err != nil {
		failed := deploy.Event{Type: deploy.EventRollbackFailed, Outcome: deploy.OutcomeFault, Reason: "production could not be put back"}
		err = errors.Join(err, d.recordDone(ctx, failed.WithData(back)))
		p.freeze(ctx, d.Target(), fmt.Sprintf("the roll back of deployment %d failed", d.Number))
		return err
	}
	if err := c.engine.Stop(ctx, d.Target(), d.Release(), c.job.Manifest.Deploy.DrainTimeout); err != nil {
		p.Logger.Error("ending a rolled back candidate", "deployment", d.Number, "error", err)
	}
	unrecorded = errors.Join(unrecorded, d.recordDone(ctx, deploy.Event{Type: deploy.EventRollbackDone}.WithData(back)))
	if unrecorded != nil {
		// Production is back, but the log does not say so: nothing more may be deployed on top.
		p.freeze(ctx, d.Target(), fmt.Sprintf("the roll back of deployment %d could not be recorded", d.Number))
		p.Logger.Error("recording a roll back", "deployment", d.Number, "error", unrecorded)
	}
	return nil
}

// returnTraffic gives a target's traffic back and looks whether it really is there.
func (p *Pipeline) returnTraffic(ctx context.Context, e Engine, t deploy.Target, back deploy.SwitchData) error {
	if err := e.Switch(ctx, t, back.From, back.To); err != nil {
		return fmt.Errorf("switching back to release %d: %w", back.To, asFault(err))
	}
	serving, err := e.Serving(ctx, t)
	if err != nil {
		return fmt.Errorf("asking what serves after the roll back: %w", err)
	}
	if serving != back.To {
		return fmt.Errorf("release %d serves after a roll back to %d", serving, back.To)
	}
	return nil
}

// asFault hides that an error of putting back may be a rejection of something: it is never the
// pusher's to mend.
func asFault(err error) error { return errors.New(err.Error()) }

// rollbackFailed is the loudest thing we say.
type rollbackFailed struct {
	number     deploy.Number
	cause, err error
}

func (r *rollbackFailed) Error() string {
	return fmt.Sprintf("roll back of deployment %d failed: %v (it was rolled back because of: %v)", r.number, r.err, r.cause)
}

// freeze lets nothing more be deployed to the target until an admin has looked.
func (p *Pipeline) freeze(ctx context.Context, t deploy.Target, reason string) {
	event := deploy.Event{Type: deploy.EventTargetFrozen, Actor: deploy.ServerActor("pipeline"), App: t.App, Environment: t.Environment, Reason: reason}
	if err := p.recordDone(context.WithoutCancel(ctx), event); err != nil {
		p.Logger.Error("freezing a target", "target", t.String(), "reason", reason, "error", err)
	}
	p.Logger.Error("target frozen", "target", t.String(), "reason", reason)
}
