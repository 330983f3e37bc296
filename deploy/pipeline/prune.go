package pipeline

import (
	"context"

	"slipway/deploy"
)

// prune removes the releases beyond the newest keepN that nobody needs. The pusher has the answer first.
// Where others wait it is done at once, since the target would perhaps not be idle for a long time; and a
// deployment that begins in between prunes for this one when it is accepted.
func (p *Pipeline) prune(ctx context.Context, d *deployment, keepN int) {
	if p.queue.awaited(d.ticket) {
		p.pruneReleases(ctx, d.Target(), keepN)
		return
	}
	ctx = context.WithoutCancel(ctx)
	p.ending.Go(func() {
		<-d.ticket.left
		p.putOff(ctx)
		_, _ = p.WhenIdle(d.Target(), func() error {
			p.pruneReleases(ctx, d.Target(), keepN)
			return nil
		})
	})
}

// pruneReleases records of each release that it is going, and removes it. One that a killed server has recorded
// and not removed goes at the next start, and is recorded again.
func (p *Pipeline) pruneReleases(ctx context.Context, t deploy.Target, keepN int) {
	state, err := p.Records.TargetState(ctx, t)
	if err == nil {
		keep := append(p.releasesInFlight(t), state.Serving, state.Previous)
		err = p.Releases.Prune(ctx, t.App, keep, keepN, func(n deploy.Number) error {
			event := deploy.Event{Type: deploy.EventReleasePruned, Actor: deploy.ServerActor("prune"), App: t.App, Deployment: n}
			_, err := p.Recorder.Record(ctx, event)
			return err
		})
	}
	if err != nil {
		p.Logger.Error("pruning releases", "target", t.String(), "error", err)
	}
}
