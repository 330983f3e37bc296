package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lookInterval is how often a projection that follows is looked at although nothing was recorded.
const lookInterval = 10 * time.Second

// Follow keeps another projection in step with the log until ctx ends, and returns nil then. The projection
// may be slow, or away for days: nobody waits for it. What keeps it from following is logged when it
// changes; then it is tried again. Project is also called without any event, which says that the projection
// has had all of them.
func (r *Recorder) Follow(ctx context.Context, p Projection) error {
	again := time.NewTicker(retryInterval)
	defer again.Stop()
	for said := ""; ; {
		err := r.follow(ctx, p, func() { said = "" })
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			r.logger.Error("the other database does not follow the audit log; trying again", "error", err)
		}
		if err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// follow brings the projection up to date and hands it what is recorded from then on. It returns nil when
// that has to begin again.
func (r *Recorder) follow(ctx context.Context, p Projection, follows func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.bringUp(ctx, p); err != nil {
		return err
	}
	last, _, err := p.Position(ctx)
	if err != nil {
		return err
	}
	follows()
	feed := r.Subscribe(ctx, last+1)
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	if err := p.Project(ctx); err != nil {
		return err
	}
	for {
		select {
		case e, ok := <-feed.C:
			if !ok {
				return feedEnd(feed.Err())
			}
			if err := p.Project(ctx, e); err != nil {
				return err
			}
			last = e.Sequence
		case <-look.C:
			at, _, err := p.Position(ctx)
			if err != nil || at != last {
				return err
			}
			if err := p.Project(ctx); err != nil {
				return err
			}
		}
	}
}

// feedEnd is nil for a feed that was too slow: the log has what it missed.
func feedEnd(err error) error {
	if errors.Is(err, ErrSlow) {
		return nil
	}
	return fmt.Errorf("following the audit log: %w", err)
}
