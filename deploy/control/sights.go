package control

import (
	"context"
	"slices"
	"sync"
	"time"

	"slipway/deploy"
)

const (
	// sightInterval is how often production is looked at, whether anybody asks or not: to look at many
	// apps takes longer than a reader should wait.
	sightInterval = 10 * time.Second
	// sightAge is how old a look may be that is told: one that takes long must not make it useless.
	sightAge = 15 * time.Second
)

// sights are the last looks at production.
type sights struct {
	mu    sync.Mutex
	byApp map[deploy.AppName]sight
}

type sight struct {
	state     deploy.TargetState // when it was looked at
	instances []deploy.RunningInstance
	drift     string
	at        time.Time
}

// recall fills in what was seen lately, unless something else serves by now.
func (s *sights) recall(of *deploy.Standing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.byApp[of.App.Name]
	if !ok || seen.state.Serving != of.State.Serving || seen.state.Revision != of.State.Revision || time.Since(seen.at) > sightAge {
		return false
	}
	of.Instances, of.Drift = slices.Clone(seen.instances), seen.drift
	if len(of.Queue) > 0 {
		of.Drift = "" // while a deployment is in work they differ rightly
	}
	return true
}

// Observe looks at production of every app now and every ten seconds until ctx ends, for [Control.Standings].
func (c *Control) Observe(ctx context.Context) error {
	tick := time.NewTicker(sightInterval)
	defer tick.Stop()
	for {
		if err := c.observe(ctx); err != nil && ctx.Err() == nil {
			c.Logger.Error("looking at production", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// observe looks at one app after the other: nobody waits for it.
func (c *Control) observe(ctx context.Context) error {
	apps, err := c.Records.Apps(ctx)
	if err != nil {
		return err
	}
	fresh := make(map[deploy.AppName]sight, len(apps))
	for _, app := range apps {
		s := deploy.Standing{App: app, Queue: c.queueOf(app.Name)}
		if s.State, err = c.Records.TargetState(ctx, production(app.Name)); err != nil {
			return err
		}
		c.lookAt(ctx, &s)
		fresh[app.Name] = sight{s.State, s.Instances, s.Drift, time.Now()}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.sights.mu.Lock()
	defer c.sights.mu.Unlock()
	c.sights.byApp = fresh
	return nil
}
