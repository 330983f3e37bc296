package control

import (
	"context"
	"fmt"

	"slipway/deploy"
)

// State returns what the records say of an app's production.
func (c *Control) State(ctx context.Context, who deploy.Caller, app deploy.AppName) (deploy.TargetState, error) {
	if _, err := c.App(ctx, who, app, deploy.RightRead); err != nil {
		return deploy.TargetState{}, err
	}
	return c.Records.TargetState(ctx, production(app))
}

// Standing tells how an app's production stands.
func (c *Control) Standing(ctx context.Context, who deploy.Caller, name deploy.AppName) (deploy.Standing, error) {
	app, role, err := c.access(ctx, who, name, deploy.RightRead)
	if err != nil {
		return deploy.Standing{}, err
	}
	s := deploy.Standing{App: app, Role: role, Queue: c.queueOf(name)}
	if s.State, err = c.Records.TargetState(ctx, production(name)); err != nil {
		return deploy.Standing{}, err
	}
	if s.Instances, err = c.running(ctx, s.State); err != nil {
		return deploy.Standing{}, err
	}
	s.Drift, err = c.drift(ctx, s)
	return s, err
}

// running looks at what runs of the release that serves.
func (c *Control) running(ctx context.Context, s deploy.TargetState) ([]deploy.RunningInstance, error) {
	if s.Serving == 0 {
		return nil, nil
	}
	instances, err := c.Engine.Instances(ctx, s.Target, s.Serving)
	if err != nil {
		return nil, err
	}
	var all []deploy.RunningInstance
	for _, i := range instances {
		state, err := c.Engine.Inspect(ctx, i)
		if err != nil {
			return nil, err
		}
		all = append(all, deploy.RunningInstance{Instance: i, State: state})
	}
	return all, nil
}

// drift compares production with the records. While a deployment is in work they differ rightly.
func (c *Control) drift(ctx context.Context, s deploy.Standing) (string, error) {
	if len(s.Queue) > 0 {
		return "", nil
	}
	oid, err := c.Refs.Resolve(ctx, s.App.Name, s.App.GatedRef)
	if err != nil {
		return "", err
	}
	if s.State.Serving != 0 && oid != s.State.Revision || s.State.Serving == 0 && !oid.IsZero() {
		return fmt.Sprintf("%s is %s, and what was accepted last is %s", s.App.GatedRef.Short(), word(oid), word(s.State.Revision)), nil
	}
	if len(s.Instances) == 0 {
		return "", nil // production is elsewhere, or nothing is deployed
	}
	routed, err := c.Engine.Serving(ctx, s.State.Target)
	if err != nil {
		return "", err
	}
	if routed != s.State.Serving {
		return fmt.Sprintf("release %d gets the traffic, and %d was accepted last", routed, s.State.Serving), nil
	}
	return "", nil
}

func word(o deploy.OID) string {
	if o.IsZero() {
		return "nothing"
	}
	return o.Short()
}

// Queue lists who is being deployed and who waits, of the apps that the caller may read.
func (c *Control) Queue(ctx context.Context, who deploy.Caller) ([]deploy.Waiting, error) {
	apps, err := c.Apps(ctx, who)
	if err != nil {
		return nil, err
	}
	readable := map[deploy.AppName]bool{}
	for _, app := range apps {
		readable[app.Name] = true
	}
	var all []deploy.Waiting
	for _, w := range c.Pipeline.Queue() {
		if readable[w.Target.App] {
			all = append(all, w)
		}
	}
	return all, nil
}

func (c *Control) queueOf(app deploy.AppName) []deploy.Waiting {
	var all []deploy.Waiting
	for _, w := range c.Pipeline.Queue() {
		if w.Target.App == app {
			all = append(all, w)
		}
	}
	return all
}
