package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"slipway/deploy"
)

// owed is events of what has been done already, which could not be recorded: a roll back, the freeze after
// it, the end of a deployment. They are recorded, in their order, as soon as that is possible again; until
// then their targets take no deployments. A server that ends before has its next start find out what
// there is to settle.
type owed struct {
	mu     sync.Mutex
	events []deploy.Event
}

// recordDone records what has been done: now, or as soon as that is possible and everything before it is
// recorded. The error says that it is not yet.
func (p *Pipeline) recordDone(ctx context.Context, e deploy.Event) error {
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	p.owed.mu.Lock()
	defer p.owed.mu.Unlock()
	err := p.payLocked(ctx)
	if err == nil {
		_, err = p.Recorder.Record(ctx, e)
	}
	if err != nil {
		p.owed.events = append(p.owed.events, e)
		return fmt.Errorf("recording %s: %w", e.Type, err)
	}
	return nil
}

// pay records what is owed, as far as that goes.
func (p *Pipeline) pay(ctx context.Context) {
	p.owed.mu.Lock()
	defer p.owed.mu.Unlock()
	_ = p.payLocked(ctx) // it has been logged, and is tried again
}

func (p *Pipeline) payLocked(ctx context.Context) error {
	for len(p.owed.events) > 0 {
		e := p.owed.events[0]
		if _, err := p.Recorder.Record(ctx, e); err != nil {
			return err
		}
		p.Logger.Warn("recorded late what could not be recorded when it was done", "event", e.Type, "app", e.App, "deployment", e.Deployment)
		p.owed.events = p.owed.events[1:]
	}
	return nil
}

// stuck tells whether something is still owed of a target.
func (p *Pipeline) stuck(t deploy.Target) bool {
	p.owed.mu.Lock()
	defer p.owed.mu.Unlock()
	for _, e := range p.owed.events {
		if e.App == t.App && e.Environment == t.Environment {
			return true
		}
	}
	return false
}

// unrecordable refuses what would be done on top of something that is not recorded.
func unrecordable(t deploy.Target) error {
	return deploy.Reject(deploy.CodeUnavailable, "%s takes no deployments: what happened to it last could not be recorded", t).
		WithHint("this is not your revision's fault; an admin has to make the audit log writable again (slipway doctor)")
}
