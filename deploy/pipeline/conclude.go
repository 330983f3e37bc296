package pipeline

import (
	"context"
	"errors"

	"slipway/deploy"
)

// conclude records how a deployment ended, tells the pusher, and makes git's answer.
func (p *Pipeline) conclude(d *deployment, err error) deploy.Answer {
	if err == nil {
		d.term.accepted(p.Addresses.App(d.App), d.New, d.Number)
		return deploy.Answer{Number: d.Number, Accepted: true}
	}
	ctx := context.WithoutCancel(d.ctx)
	event, r := verdict(err, d.Number)
	if event == "" {
		p.Logger.Error("an accepted deployment's ref", "deployment", d.Number, "error", err)
	} else {
		p.recordEnd(ctx, d, event, r, err)
	}
	more := []string{p.production(d, err), p.whereToRead(d)}
	if event == deploy.EventRejected && d.Pusher.Admin && d.Bypass == nil && d.Again == nil {
		more = append(more, "to deploy it all the same: "+p.bypassCommand(d))
	}
	d.term.ended(r, event, more...)
	return deploy.Answer{Number: d.Number, Line: line(r) + ": deployment " + d.Number.String()}
}

// verdict sorts an error into the event that ends the deployment, and what the pusher is told. There
// is no event for a deployment that has been accepted: only its ref is missing.
func verdict(err error, n deploy.Number) (deploy.EventType, *deploy.Rejection) {
	if _, ok := errors.AsType[*rollbackFailed](err); ok {
		r := deploy.Reject(deploy.CodeUnavailable, "PRODUCTION COULD NOT BE PUT BACK (deployment %d)", n)
		r.Line = "internal error: roll back failed"
		return deploy.EventErrored, r.WithHint("The target is frozen. This is a fault of the server, not of your revision.\nTell an admin now: the server's log has the rest.")
	}
	if _, ok := errors.AsType[*refPending](err); ok {
		r := deploy.Reject(deploy.CodeUnavailable, "internal error: the revision is accepted and serves, but its ref could not be written")
		r.Line = "internal error: ref not written yet"
		return "", r.WithHint("The target is frozen. Tell an admin: the ref is written by slipway unfreeze, or when the server starts again.")
	}
	if r, ok := deploy.AsRejection(err); ok {
		switch r.Code {
		case deploy.CodeCanceled:
			return deploy.EventCanceled, r
		case deploy.CodeTechnical:
			return deploy.EventErrored, r.WithHint("It was tried twice. Nothing is wrong with the revision as far as that tells: push again later.")
		}
		return deploy.EventRejected, r
	}
	if errors.Is(err, deploy.ErrShutdown) {
		r := deploy.Reject(deploy.CodeUnavailable, "%s", deploy.ErrShutdown).WithHint("push again in a moment")
		return deploy.EventInterrupted, r
	}
	if isCanceled(err) {
		r := deploy.Reject(deploy.CodeCanceled, "%s", canceledReason(err))
		r.Line = "canceled"
		return deploy.EventCanceled, r
	}
	if r, ok := diskFull(err); ok {
		return deploy.EventErrored, r
	}
	r := deploy.Reject(deploy.CodeUnavailable, "internal error, deployment %d", n)
	r.Line = "internal error"
	return deploy.EventErrored, r.WithHint("This is a fault of the server, not of your revision. The server's log has the rest.")
}

func canceledReason(err error) string {
	if c, ok := errors.AsType[*canceledBy](err); ok {
		return c.Error()
	}
	switch {
	case errors.Is(err, errOtherSet):
		return "ended, because another test set failed"
	case errors.Is(err, deploy.ErrShutdown):
		return deploy.ErrShutdown.Error()
	}
	return errPusherLeft.Error()
}

func (p *Pipeline) recordEnd(ctx context.Context, d *deployment, event deploy.EventType, r *deploy.Rejection, err error) {
	if event == deploy.EventErrored {
		p.Logger.Error("deployment failed through a fault", "deployment", d.Number, "app", d.App, "error", err)
	}
	d.Status, d.Code, d.Reason = statusOf(event), r.Code, r.Message
	end := deploy.Event{Type: event, Stage: d.FailedStage, Outcome: outcomeOf(err), Reason: r.Bounded().Message}.WithData(r.Bounded())
	if rec := d.recordDone(ctx, end); rec != nil {
		p.Logger.Error("recording a deployment's end", "deployment", d.Number, "event", event, "error", rec)
	}
}

func statusOf(e deploy.EventType) deploy.Status {
	switch e {
	case deploy.EventRejected:
		return deploy.StatusRejected
	case deploy.EventCanceled:
		return deploy.StatusCanceled
	case deploy.EventInterrupted:
		return deploy.StatusInterrupted
	case deploy.EventAccepted:
		return deploy.StatusAccepted
	}
	return deploy.StatusErrored
}

// production says in a sentence what serves after a deployment that was not accepted.
func (p *Pipeline) production(d *deployment, err error) string {
	if _, bad := errors.AsType[*rollbackFailed](err); bad {
		return "what production serves now is unknown"
	}
	if d.Status == deploy.StatusAccepted {
		return "production serves " + d.New.Short() + " (deployment " + d.Number.String() + ")"
	}
	state, err := p.Records.TargetState(context.WithoutCancel(d.ctx), d.Target())
	switch {
	case err != nil:
		p.Logger.Error("reading the target's state", "target", d.Target().String(), "error", err)
		return "what production serves could not be read"
	case state.Serving == 0:
		return "nothing is in production: this was the first deployment"
	}
	return "production still serves " + state.Revision.Short() + " (deployment " + state.Serving.String() + ")"
}

func (p *Pipeline) whereToRead(d *deployment) string {
	s := "whole log: ssh " + p.Addresses.SSH() + " log " + d.Number.String()
	if page := p.Addresses.Page(d.Number); page != "" {
		s += "   " + page
	}
	return s
}

// bypassCommand is what an admin whose push was rejected types to deploy its revision all the same.
func (p *Pipeline) bypassCommand(d *deployment) string {
	return "git push -o bypass -o reason=\"…\" " + p.Addresses.Clone(d.App) + " " + d.New.Short() + ":" + d.Ref.Short()
}
