package pipeline

import (
	"context"
	"fmt"
	"time"

	"slipway/deploy"
)

// holdInterval is how often a target is asked for again that the server itself holds for a moment.
const holdInterval = 20 * time.Millisecond

// Hold runs do while no deployment of the target can begin; pushes wait meanwhile. Where a deployment is
// in work it returns a rejection that says whose, and do is not run.
func (p *Pipeline) Hold(ctx context.Context, t deploy.Target, do func(context.Context) error) error {
	place := &ticket{target: t, user: "slipway"}
	again := time.NewTicker(holdInterval)
	defer again.Stop()
	for !p.queue.joinIdle(place) {
		if first, ok := p.queue.first(t); ok && first.number != 0 {
			return busy(t, first)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer p.queue.leave(place)
	return do(ctx)
}

// first returns a copy of the ticket that works on a target, and whether there is one.
func (q *queue) first(t deploy.Target) (ticket, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines[t]) == 0 {
		return ticket{}, false
	}
	o := q.lines[t][0]
	return ticket{number: o.number, user: o.user, stage: o.stage, since: o.since}, true
}

func busy(t deploy.Target, by ticket) error {
	stage := ""
	if by.stage != "" {
		stage = fmt.Sprintf(" (%s, %s)", display(by.stage), seconds(time.Since(by.since)))
	}
	return deploy.Reject(deploy.CodeUnavailable, "deployment %d of %s by %s is in work%s", by.number, t, by.user, stage).
		WithHint("wait for its verdict: slipway watch %d", by.number)
}
