package pipeline

import (
	"context"
	"slices"
	"time"

	"slipway/deploy"
)

// retirement is a release that was replaced, being drained and ended after its successor's verdict.
type retirement struct {
	target  deploy.Target
	release deploy.Number
	stop    context.CancelFunc
	done    chan struct{}
}

// retire drains and ends the release that was replaced, while the pusher already has the answer.
func (p *Pipeline) retire(ctx context.Context, d *deployment, c *candidate) {
	if d.Previous == 0 || d.Previous == d.Release() {
		return
	}
	drain := c.job.Manifest.Deploy.DrainTimeout
	ctx, stop := context.WithTimeout(ctx, drain+p.UndoTimeout)
	r := &retirement{target: d.Target(), release: d.Previous, stop: stop, done: make(chan struct{})}
	p.mu.Lock()
	p.retiring = append(p.retiring, r)
	p.mu.Unlock()
	p.ending.Go(func() {
		defer p.retired(r)
		if p.putOff(ctx); ctx.Err() != nil {
			return
		}
		err := p.Local.Stop(ctx, r.target, r.release, drain)
		if err != nil && ctx.Err() == nil {
			p.Logger.Error("ending the replaced release", "target", r.target.String(), "release", r.release, "error", err)
		}
	})
}

// putOff lets the answer of a deployment go first, which would otherwise share the processors with what
// nobody waits for.
func (p *Pipeline) putOff(ctx context.Context) {
	if p.PutOff == 0 {
		return
	}
	select {
	case <-time.After(p.PutOff):
	case <-ctx.Done():
	}
}

// ahead has the app's next checkout begin with what was deployed.
func (p *Pipeline) ahead(d *deployment) {
	p.ending.Go(func() {
		p.putOff(context.Background())
		p.Trees.Ahead(d.app, d.New)
	})
}

func (p *Pipeline) retired(r *retirement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retiring = slices.DeleteFunc(p.retiring, func(o *retirement) bool { return o == r })
	r.stop()
	close(r.done)
}

// unretire stops the ending of a release that is wanted again, as whoever rolls back right after a
// deployment wants it. What of it was ended already the switch starts again.
func (p *Pipeline) unretire(ctx context.Context, t deploy.Target, n deploy.Number) error {
	p.mu.Lock()
	wanted := slices.DeleteFunc(slices.Clone(p.retiring), func(r *retirement) bool { return r.target != t || r.release != n })
	p.mu.Unlock()
	for _, r := range wanted {
		r.stop()
		select {
		case <-r.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
