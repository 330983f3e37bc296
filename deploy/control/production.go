package control

import (
	"context"
	"sync"

	"slipway/deploy"
)

// looksAtOnce is how many apps are looked at at the same time.
const looksAtOnce = 8

// Standings tells how production stands of every app that the caller may read, by name. Instances are told
// as they were at most ten seconds ago, while [Control.Observe] runs. Where an app could not be looked at,
// its Drift says so: what is wrong with one must not hide the others.
func (c *Control) Standings(ctx context.Context, who deploy.Caller) ([]deploy.Standing, error) {
	apps, err := c.Apps(ctx, who)
	if err != nil {
		return nil, err
	}
	accepted, err := c.Records.LastAccepted(ctx, who.Scope())
	if err != nil {
		return nil, err
	}
	states, err := c.Records.TargetStates(ctx)
	if err != nil {
		return nil, err
	}
	byApp := map[deploy.AppName]deploy.TargetState{}
	for _, s := range states {
		byApp[s.Target.App] = s
	}
	all := make([]deploy.Standing, len(apps))
	for i, app := range apps {
		all[i] = deploy.Standing{App: app, State: byApp[app.Name], Queue: c.queueOf(app.Name)}
		all[i].State.Target = production(app.Name)
		if all[i].Role, err = c.roleOn(ctx, who, app.Name); err != nil {
			return nil, err
		}
		if d, ok := accepted[app.Name]; ok {
			all[i].Accepted = &d
		}
	}
	c.look(ctx, all)
	return all, ctx.Err()
}

// roleOn is what the caller is on an app that it may read.
func (c *Control) roleOn(ctx context.Context, who deploy.Caller, app deploy.AppName) (deploy.Role, error) {
	if who.Admin {
		return who.RoleOn(app, ""), nil
	}
	return c.Role(ctx, who, app)
}

// look fills in what can be seen, or was seen a moment ago by [Control.Observe].
func (c *Control) look(ctx context.Context, all []deploy.Standing) {
	var looking sync.WaitGroup
	slots := make(chan struct{}, looksAtOnce)
	for i := range all {
		if c.sights.recall(&all[i]) {
			continue
		}
		slots <- struct{}{}
		looking.Go(func() {
			defer func() { <-slots }()
			c.lookAt(ctx, &all[i])
		})
	}
	looking.Wait()
}

func (c *Control) lookAt(ctx context.Context, s *deploy.Standing) {
	var err error
	if s.Instances, err = c.running(ctx, s.State); err == nil {
		s.Drift, err = c.drift(ctx, *s)
	}
	if err != nil && ctx.Err() == nil {
		c.Logger.Error("looking at production", "app", s.App.Name, "error", err)
		s.Drift = "production could not be looked at; the server's log says why"
	}
}

// Pending are the deployments that have not ended, of the apps that the caller may read, in the order of
// their turns.
func (c *Control) Pending(ctx context.Context, who deploy.Caller) ([]deploy.QueueEntry, error) {
	return c.Records.Queue(ctx, who.Scope())
}
