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
		p.pruneReleases(ctx, d, keepN)
		return
	}
	ctx = context.WithoutCancel(ctx)
	p.ending.Go(func() {
		<-d.ticket.left
		p.putOff(ctx)
		_, _ = p.WhenIdle(d.Target(), func() error {
			p.pruneReleases(ctx, d, keepN)
			return nil
		})
	})
}

func (p *Pipeline) pruneReleases(ctx context.Context, d *deployment, keepN int) {
	state, err := p.Records.TargetState(ctx, d.Target())
	if err != nil {
		p.Logger.Error("pruning releases", "app", d.App, "error", err)
		return
	}
	keep := append(p.releasesInFlight(d.Target()), state.Serving, state.Previous)
	pruned, err := p.Releases.Prune(ctx, d.App, keep, keepN)
	if err != nil {
		p.Logger.Error("pruning releases", "app", d.App, "error", err)
	}
	for _, n := range pruned {
		event := deploy.Event{Type: deploy.EventReleasePruned, Actor: deploy.ServerActor("prune"), App: d.App, Deployment: n}
		if _, err := p.Recorder.Record(ctx, event); err != nil {
			p.Logger.Error("recording a pruned release", "app", d.App, "release", n, "error", err)
		}
	}
}
