package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"slipway/deploy"
)

// Check refuses an offer that can be refused without building anything: an unknown push option, a
// frozen target, a bypass without the right to it, a push that is no fast-forward, a broken
// slipway.toml. It reads only, and may be called while the objects are in quarantine. Its errors are
// rejections, or faults.
func (p *Pipeline) Check(ctx context.Context, o deploy.Offer) error {
	_, err := p.check(ctx, o)
	if r, ok := deploy.AsRejection(err); ok {
		p.recordRefused(o, r)
	}
	return err
}

// terms are what an offer's options and the ref's present value make of it.
type terms struct {
	old     deploy.OID // the ref's present value
	bypass  *deploy.Bypass
	verbose bool
}

func (p *Pipeline) check(ctx context.Context, o deploy.Offer) (terms, error) {
	var t terms
	asked, err := parseOptions(o.Options)
	if err != nil {
		return t, err
	}
	t.verbose = asked.verbose
	if p.pay(ctx); p.stuck(targetOf(o)) {
		return t, unrecordable(targetOf(o))
	}
	state, err := p.Records.TargetState(ctx, targetOf(o))
	if err != nil {
		return t, fmt.Errorf("reading the target's state: %w", err)
	}
	if state.Frozen != "" && !mendsFrozen(o) {
		return t, frozen(state)
	}
	if err := p.Ready(ctx, o); err != nil {
		if _, ok := deploy.AsRejection(err); ok {
			return t, err
		}
		p.Logger.Error("nothing can be deployed", "error", err)
		return t, deploy.Reject(deploy.CodeUnavailable, "the server cannot run builds now").WithHint("this is not your revision's fault; an admin reads why with: slipway status")
	}
	if t.old, t.bypass, err = p.standing(ctx, o, asked); err != nil {
		return t, err
	}
	b, err := o.Revision.ReadFile(ctx, "slipway.toml", maxManifest)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return t, nil
	case err != nil:
		return t, fmt.Errorf("reading slipway.toml: %w", err)
	}
	_, err = p.Parse("slipway.toml", b)
	return t, err
}

// mendsFrozen tells whether an offer may pass a freeze: an admin's roll back, which may be what a
// target is frozen for.
func mendsFrozen(o deploy.Offer) bool {
	return o.Again != nil && o.Again.Kind == deploy.AgainRollback && o.Pusher.Admin
}

// maxManifest is how large a slipway.toml may be, in bytes.
const maxManifest = 64 << 10

func targetOf(o deploy.Offer) deploy.Target {
	return deploy.Target{App: o.App, Environment: deploy.Production}
}

// standing tells what the ref is now and whether the offer may replace that: as a fast-forward, or as an
// admin's forced push, which is a bypass.
func (p *Pipeline) standing(ctx context.Context, o deploy.Offer, asked options) (deploy.OID, *deploy.Bypass, error) {
	now, err := p.Refs.Resolve(ctx, o.App, o.Update.Ref)
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", o.Update.Ref, err)
	}
	forward, err := o.Revision.DescendsFrom(ctx, now)
	if err != nil {
		return now, nil, fmt.Errorf("comparing %s with %s: %w", o.Update.New.Short(), now.Short(), err)
	}
	switch {
	case o.Again != nil:
		return now, nil, nil
	case asked.bypass && !o.Pusher.Admin:
		return now, nil, bypassForbidden()
	case !forward && !o.Pusher.Admin:
		return now, nil, p.stale(o, now)
	case !forward:
		// Only what was no fast-forward of the ref as the pusher saw it was meant to force anything away.
		overtaken, err := o.Revision.DescendsFrom(ctx, o.Update.Old)
		if err != nil {
			return now, nil, fmt.Errorf("comparing %s with %s: %w", o.Update.New.Short(), o.Update.Old.Short(), err)
		}
		if overtaken {
			return now, nil, p.stale(o, now)
		}
		return now, &deploy.Bypass{Reason: asked.reason, Forced: true}, nil
	case asked.bypass:
		return now, &deploy.Bypass{Reason: asked.reason}, nil
	}
	return now, nil, nil
}

// Admit leads an offer through the gate and returns when the ref has moved or everything is back as
// it was, which may take as long as the queue, the build and the watch do. What happens is written to
// progress, whose errors are ignored. The end of ctx means that the pusher has gone: before the switch
// that cancels the deployment, afterwards it changes nothing.
func (p *Pipeline) Admit(ctx context.Context, o deploy.Offer, progress io.Writer) deploy.Answer {
	d, err := p.open(ctx, o, progress)
	if err != nil {
		return p.refuse(o, progress, err)
	}
	defer d.close()
	p.queue.join(d.ticket)
	defer p.queue.leave(d.ticket)
	defer d.leave() // before its place is given up: see settleLeft
	err = d.because(p.turn(d))
	if err == nil {
		err = p.deploy(d)
	}
	return p.conclude(d, err)
}

// open gives the offer its number and records it as queued.
func (p *Pipeline) open(ctx context.Context, o deploy.Offer, progress io.Writer) (*deployment, error) {
	t, err := p.check(ctx, o)
	if err != nil {
		return nil, err
	}
	app, err := p.Records.App(ctx, o.App)
	if err != nil {
		return nil, fmt.Errorf("reading app %s: %w", o.App, err)
	}
	n, err := p.nextNumber(ctx)
	if err != nil {
		return nil, fmt.Errorf("numbering the deployment: %w", err)
	}
	d := newDeployment(ctx, p, o, app, n, t)
	d.leave = p.enter(d)
	err = d.makeFolder(progress, t.verbose)
	if err == nil {
		err = d.record(ctx, deploy.Event{Type: deploy.EventDeploymentQueued}.WithData(d.Deployment))
	}
	if err != nil {
		d.forget()
		return nil, err
	}
	d.term.header(d.Deployment)
	if o.Queued != nil {
		o.Queued(n)
	}
	return d, nil
}

// turn waits until the deployment may work, ends what an earlier one left behind, and looks once more
// what the ref is then.
func (p *Pipeline) turn(d *deployment) error {
	still := func() error { return p.renew(d) }
	if err := p.queue.wait(d.ctx, d.ticket, waitInterval, still, d.term.waiting); err != nil {
		return err
	}
	if err := context.Cause(d.ctx); err != nil {
		return err
	}
	if p.pay(d.ctx); p.stuck(d.Target()) {
		return unrecordable(d.Target())
	}
	if err := p.settleLeft(context.WithoutCancel(d.ctx), d.Target()); err != nil {
		return p.blameDisk(err)
	}
	return p.renew(d)
}

// waitInterval is how often a waiting pusher hears that it waits.
const waitInterval = 15 * time.Second

// renew brings the deployment's view of the ref up to date, and fails if it cannot be accepted any more.
func (p *Pipeline) renew(d *deployment) error {
	if p.pay(d.ctx); p.stuck(d.Target()) {
		return unrecordable(d.Target())
	}
	state, err := p.Records.TargetState(d.ctx, d.Target())
	if err != nil {
		return fmt.Errorf("reading the target's state: %w", err)
	}
	if state.Frozen != "" && !mendsFrozen(d.offer) {
		return frozen(state)
	}
	asked := options{}
	if d.Bypass != nil {
		asked = options{bypass: !d.Bypass.Forced, reason: d.Bypass.Reason}
	}
	old, bypass, err := p.standing(d.ctx, d.offer, asked)
	if err != nil {
		return err
	}
	if bypass != nil && d.Bypass == nil {
		// An admin's plain push that another one overtook is no wish to force it away.
		return p.stale(d.offer, old)
	}
	d.Old, d.Previous, d.serving = old, state.Serving, state.Revision
	return nil
}

// deploy is what is done when it is the deployment's turn.
func (p *Pipeline) deploy(d *deployment) error {
	started := deploy.StartedData{Previous: d.Previous, Bypass: d.Bypass}
	event := deploy.Event{Type: deploy.EventDeploymentStarted, Old: d.Old, New: d.New}.WithData(started)
	if err := d.record(d.ctx, event); err != nil {
		return d.because(err)
	}
	defer p.ahead(d)
	ready := p.prepare
	if rollsBack(&d.Deployment) {
		ready = p.candidateAgain
	}
	c, err := ready(d)
	if err != nil {
		return d.because(err)
	}
	if !d.commitToSwitch() {
		p.unlockRef(d, c)
		p.discard(d)
		return context.Cause(d.ctx)
	}
	// From here on the pusher may leave: it runs to its verdict.
	return p.try(context.WithoutCancel(d.ctx), d, c)
}

// refuse answers an offer that got no number.
func (p *Pipeline) refuse(o deploy.Offer, progress io.Writer, err error) deploy.Answer {
	r, ok := deploy.AsRejection(err)
	if !ok {
		p.Logger.Error("refusing a push because of a fault", "app", o.App, "user", o.Pusher.User, "error", err)
		if r, ok = diskFull(err); !ok {
			r = deploy.Reject(deploy.CodeUnavailable, "internal error; the server's log has the rest")
		}
	}
	p.recordRefused(o, r)
	newTerminal(progress, false).refused(r)
	return deploy.Answer{Line: line(r), Refused: r}
}

// recordRefused records an offer that got no number.
func (p *Pipeline) recordRefused(o deploy.Offer, r *deploy.Rejection) {
	r = r.Bounded()
	event := deploy.Event{
		Type: deploy.EventPushRefused, Actor: o.Pusher.Actor(), App: o.App, Environment: deploy.Production,
		Ref: o.Update.Ref, Old: o.Update.Old, New: o.Update.New, Outcome: deploy.OutcomeFail, Reason: r.Message,
	}.WithData(r)
	if _, err := p.Recorder.Record(context.Background(), event); err != nil {
		p.Logger.Error("recording a refused push", "app", o.App, "error", err)
	}
}

// line is what stands in git's "! [remote rejected]" line.
func line(r *deploy.Rejection) string {
	if r.Line != "" {
		return r.Line
	}
	return r.Message
}
