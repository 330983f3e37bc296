package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"slipway/deploy"
)

// Again puts something that was deployed before into production again: a revision through every stage
// (redeploy), or a release that is kept, at once (rollback). The ref moves with it, so that it keeps
// telling the truth. It blocks as [Pipeline.Admit] does, and writes the same to progress.
func (p *Pipeline) Again(ctx context.Context, r deploy.AgainRequest, progress io.Writer) deploy.Answer {
	o := deploy.Offer{App: r.App.Name, Pusher: r.Caller, Again: &r.Again, Update: deploy.RefUpdate{Ref: r.App.GatedRef}, Queued: r.Queued}
	if err := p.complete(ctx, &o); err != nil {
		return p.refuse(o, progress, err)
	}
	return p.Admit(ctx, o, progress)
}

// complete finds the revision that an offer asks for again.
func (p *Pipeline) complete(ctx context.Context, o *deploy.Offer) error {
	past, err := p.Records.Deployment(ctx, o.Again.Of)
	if errors.Is(err, deploy.ErrNotFound) || err == nil && past.App != o.App {
		return deploy.Reject(deploy.CodeNotFound, "%s has no deployment %d", o.App, o.Again.Of).WithHint("slipway deployments %s", o.App)
	}
	if err != nil {
		return fmt.Errorf("reading deployment %d: %w", o.Again.Of, err)
	}
	if o.Again.Kind == deploy.AgainRollback {
		if err := p.kept(ctx, past); err != nil {
			return err
		}
		again := *o.Again
		again.Of = past.Release() // that of a roll back is an older one's
		o.Again = &again
	}
	if o.Update.Old, err = p.Refs.Resolve(ctx, o.App, o.Update.Ref); err != nil {
		return fmt.Errorf("reading %s: %w", o.Update.Ref, err)
	}
	o.Update.New, o.Commit, o.Revision = past.New, past.Commit, p.Refs.Revision(o.App, past.New)
	return nil
}

// kept tells whether a release can be gone back to.
func (p *Pipeline) kept(ctx context.Context, past deploy.Deployment) error {
	state, err := p.Records.TargetState(ctx, past.Target())
	if err != nil {
		return fmt.Errorf("reading the target's state: %w", err)
	}
	if past.Status != deploy.StatusAccepted {
		return deploy.Reject(deploy.CodeNotFound, "deployment %d was %s: it has no release to go back to", past.Number, past.Status)
	}
	if past.Release() == state.Serving {
		return deploy.Reject(deploy.CodeExists, "release %d is what serves", state.Serving)
	}
	return p.stillKept(&past)
}

// stillKept tells whether the release of a deployment is there.
func (p *Pipeline) stillKept(d *deploy.Deployment) error {
	_, err := os.Stat(p.Layout.Release(d.App, d.Release()))
	if errors.Is(err, fs.ErrNotExist) {
		return deploy.Reject(deploy.CodeNotFound, "release %d is not kept any more", d.Release()).
			WithHint("slipway redeploy %s %d   builds and tests its revision again", d.App, d.Release())
	}
	return err
}

// candidateAgain is the release that a roll back goes to. It was built, tested and watched already.
func (p *Pipeline) candidateAgain(d *deployment) (*candidate, error) {
	// One that was accepted before this was in flight may have pruned it.
	if err := p.stillKept(&d.Deployment); err != nil {
		return nil, err
	}
	if err := p.unretire(d.ctx, d.Target(), d.Release()); err != nil {
		return nil, err
	}
	dir := p.Layout.Release(d.App, d.Release())
	m, err := p.manifestOf(d.ctx, d.App, d.Release())
	if err != nil {
		return nil, err
	}
	plan := *m
	plan.Monitor.BakeTime = 0 // it has survived its watch: one look, since whoever rolls back is in a hurry
	job := &deploy.Job{
		Number: d.Number, App: d.app, Revision: d.New, Commit: d.Commit, Pusher: d.Pusher, Manifest: &plan, Tree: dir,
	}
	c := &candidate{job: job, engine: p.engine(m)}
	c.Release = deploy.Release{App: d.App, Number: d.Release(), Revision: d.New, Dir: dir}
	if err := p.lockRef(d.ctx, d, c); err != nil {
		return nil, p.blameDisk(err)
	}
	return c, nil
}

// rollsBack tells whether the deployment goes back to a release that is kept.
func rollsBack(d *deploy.Deployment) bool { return d.Release() != d.Number }
