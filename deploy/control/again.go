package control

import (
	"context"
	"errors"
	"io"
	"sync"

	"slipway/deploy"
)

// Again deploys what was deployed before, and returns with the verdict. Where a.Of is zero it is the
// usual one. progress gets what a pusher reads.
func (c *Control) Again(ctx context.Context, who deploy.Caller, app deploy.AppName, a deploy.Again, progress io.Writer) (deploy.Answer, error) {
	r, err := c.againRequest(ctx, who, app, a)
	if err != nil {
		return deploy.Answer{}, err
	}
	return c.Pipeline.Again(ctx, r, progress), nil
}

// BeginAgain is Again for callers who do not stay: it returns the number as soon as there is one. It needs
// [Control.Run].
func (c *Control) BeginAgain(ctx context.Context, who deploy.Caller, app deploy.AppName, a deploy.Again) (deploy.Number, error) {
	r, err := c.againRequest(ctx, who, app, a)
	if err != nil {
		return 0, err
	}
	queued, ended := make(chan deploy.Number, 1), make(chan deploy.Answer, 1)
	r.Queued = func(n deploy.Number) { queued <- n }
	if !c.begun.goes(func(ctx context.Context) { ended <- c.Pipeline.Again(ctx, r, io.Discard) }) {
		return 0, deploy.Reject(deploy.CodeUnavailable, "the server is stopping")
	}
	select {
	case n := <-queued:
		return n, nil
	case answer := <-ended:
		select {
		case n := <-queued: // it had both at once
			return n, nil
		default:
		}
		if answer.Refused == nil {
			return 0, deploy.Reject(deploy.CodeUnavailable, "%s", answer.Line)
		}
		return 0, answer.Refused
	}
}

func (c *Control) againRequest(ctx context.Context, who deploy.Caller, name deploy.AppName, a deploy.Again) (deploy.AgainRequest, error) {
	app, role, err := c.access(ctx, who, name, deploy.RightPush)
	if err != nil {
		return deploy.AgainRequest{}, err
	}
	check := reasonOf
	if a.Kind == deploy.AgainRollback {
		check = needReason
	}
	if a.Reason, err = check(a.Reason); err != nil {
		return deploy.AgainRequest{}, err
	}
	if a.Of == 0 {
		if a.Of, err = c.usual(ctx, app, a.Kind); err != nil {
			return deploy.AgainRequest{}, err
		}
	}
	return deploy.AgainRequest{App: app, Again: a, Caller: who.Pusher(role)}, nil
}

// usual is what is deployed again if no number is given: for a redeploy what serves, for a roll back
// the good release before that.
func (c *Control) usual(ctx context.Context, app deploy.App, kind deploy.AgainKind) (deploy.Number, error) {
	state, err := c.Records.TargetState(ctx, production(app.Name))
	if err != nil {
		return 0, err
	}
	if state.Serving == 0 {
		return 0, deploy.Reject(deploy.CodeNotFound, "nothing of %s is deployed", app.Name)
	}
	if kind == deploy.AgainRedeploy {
		return state.Serving, nil
	}
	return c.goodBefore(ctx, app, state.Serving)
}

// goodBefore is the release that served when the given one was deployed, or the one that served when that was
// deployed, and so on, if it is kept and nobody has said that it had broken something. One that was rolled
// back from served before nothing.
func (c *Control) goodBefore(ctx context.Context, app deploy.App, serving deploy.Number) (deploy.Number, error) {
	releases, err := c.Records.Releases(ctx, app.Name)
	if err != nil {
		return 0, err
	}
	kept := map[deploy.Number]bool{}
	for _, r := range releases {
		kept[r.Number] = true
	}
	for n := serving; ; {
		d, err := c.Records.Deployment(ctx, n)
		if err != nil {
			return 0, err
		}
		if d.Previous == 0 || d.Previous >= n {
			return 0, deploy.Reject(deploy.CodeNotFound, "%s has no good release before %d", app.Name, serving)
		}
		n = d.Previous
		_, err = c.Records.Regression(ctx, n)
		if err != nil && !errors.Is(err, deploy.ErrNotFound) {
			return 0, err
		}
		if err != nil && kept[n] {
			return n, nil
		}
	}
}

// begun is what was begun for callers who did not stay.
type begun struct {
	mu   sync.Mutex
	ctx  context.Context // nil while nothing can be begun
	work sync.WaitGroup
}

// goes runs work in the background, and tells by false that it is not the time.
func (b *begun) goes(work func(context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx == nil || b.ctx.Err() != nil {
		return false
	}
	ctx := b.ctx
	b.work.Go(func() { work(ctx) })
	return true
}

// Run lets deployments be begun by [Control.BeginAgain] until ctx ends, which is to them as if their
// pushers went away, and waits for them. It records meanwhile the sign-ins that failed again and again.
func (c *Control) Run(ctx context.Context) error {
	c.begun.mu.Lock()
	c.begun.ctx = ctx
	c.begun.mu.Unlock()
	c.failures.Run(ctx, c.recordFailure)
	c.begun.mu.Lock()
	c.begun.ctx = nil
	c.begun.mu.Unlock()
	c.begun.work.Wait()
	return nil
}
