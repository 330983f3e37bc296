package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/deploy"
)

// settleLeft ends what earlier deployments of a target left unfinished because something could not be
// written: a ref that was not moved, an end that was not recorded. It is called by whoever has the first
// place in the target's line, so that it is done before anything is accepted on top.
func (p *Pipeline) settleLeft(ctx context.Context, t deploy.Target) error {
	left, err := p.left(ctx, t, func(n deploy.Number) bool { return !p.Running(n) })
	if err != nil || len(left) == 0 {
		return err
	}
	// What ended between the list and the look at it has recorded its end since.
	left, err = p.left(ctx, t, func(n deploy.Number) bool {
		return slices.ContainsFunc(left, func(d deploy.Deployment) bool { return d.Number == n })
	})
	if err != nil {
		return err
	}
	for _, d := range left {
		if err := p.settle(ctx, &d); err != nil {
			return fmt.Errorf("settling deployment %d: %w", d.Number, err)
		}
	}
	return nil
}

// left lists a target's unfinished deployments whose numbers are among some.
func (p *Pipeline) left(ctx context.Context, t deploy.Target, among func(deploy.Number) bool) ([]deploy.Deployment, error) {
	all, err := p.History.Unfinished(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing unfinished deployments: %w", err)
	}
	return slices.DeleteFunc(all, func(d deploy.Deployment) bool { return d.Target() != t || !among(d.Number) }), nil
}

// PutRight makes what serves an app be what the records say, as far as it can, for whoever is about to lift
// a freeze. Its errors say what is still not as recorded. Where a deployment is in work it does nothing.
func (p *Pipeline) PutRight(ctx context.Context, app deploy.App) error {
	target := deploy.Target{App: app.Name, Environment: deploy.Production}
	var wrong error
	err := p.Hold(ctx, target, func(ctx context.Context) error {
		wrong = p.settleLeft(ctx, target)
		state, err := p.Records.TargetState(ctx, target)
		if err != nil {
			return fmt.Errorf("reading the target's state: %w", err)
		}
		wrong = errors.Join(wrong, p.compare(ctx, app, state), p.serve(ctx, target, state))
		return nil
	})
	if _, busy := deploy.AsRejection(err); busy {
		return nil
	}
	return errors.Join(wrong, err)
}

// compare says how an app's ref differs from the revision that was accepted last.
func (p *Pipeline) compare(ctx context.Context, app deploy.App, state deploy.TargetState) error {
	ref, err := p.Refs.Resolve(ctx, app.Name, app.GatedRef)
	if err != nil {
		return fmt.Errorf("reading %s: %w", app.GatedRef, err)
	}
	if ref != state.Revision {
		return &drifted{fmt.Sprintf("%s is %s, but %s was accepted last", app.GatedRef, known(ref), known(state.Revision))}
	}
	return nil
}

// drifted is the error of a ref that is not what the records say.
type drifted struct{ reason string }

func (d *drifted) Error() string { return d.reason }
