package pipeline

import (
	"context"
	"time"

	"slipway/deploy"
)

// tendInterval is how often what is in production is looked after.
const tendInterval = 2 * time.Second

// Tend looks after what is in production until ctx ends: a release whose keepers were killed, and its
// instances with them, is started again. Where a deployment is in work it does nothing, and a frozen
// target is left as it is for whoever looks at it. A process that ends by itself is its keeper's to
// start again.
func (p *Pipeline) Tend(ctx context.Context) error {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p.pay(ctx)
		apps, err := p.History.Apps(ctx)
		if err != nil {
			p.Logger.Error("listing apps to look after", "error", err)
			continue
		}
		for _, app := range apps {
			target := deploy.Target{App: app.Name, Environment: deploy.Production}
			if err := p.tend(ctx, target); err != nil && ctx.Err() == nil {
				p.Logger.Error("looking after production", "target", target.String(), "error", err)
			}
		}
	}
}

func (p *Pipeline) tend(ctx context.Context, t deploy.Target) error {
	place := &ticket{target: t, user: "slipway"}
	if !p.queue.joinIdle(place) {
		return nil
	}
	defer p.queue.leave(place)
	state, err := p.Records.TargetState(ctx, t)
	if err != nil || state.Serving == 0 || state.Frozen != "" {
		return err
	}
	unkept, err := p.Instances.Unkept(ctx, t, state.Serving)
	if err != nil || !unkept {
		return err
	}
	p.Logger.Warn("starting a release again", "target", t.String(), "release", state.Serving)
	return p.Instances.Restore(ctx, t, state.Serving)
}
