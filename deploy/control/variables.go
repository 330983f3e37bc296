package control

import (
	"context"
	"errors"
	"slices"

	"slipway/deploy"
)

// SetVariables sets variables of an app, and returns those that there were before. Who and when are
// filled in.
func (c *Control) SetVariables(ctx context.Context, who deploy.Caller, app deploy.AppName, given deploy.Variables) (deploy.Variables, error) {
	if _, err := c.App(ctx, who, app, deploy.RightPush); err != nil {
		return nil, err
	}
	given = slices.Clone(given)
	for i, v := range given {
		if err := errors.Join(deploy.CheckVariableName(v.Name), deploy.CheckVariableValue(v.Value)); err != nil {
			return nil, deploy.Reject(deploy.CodeUsage, "%v", err)
		}
		if named(given[:i], v.Name) {
			return nil, deploy.Reject(deploy.CodeUsage, "%s is given twice", v.Name)
		}
		given[i].SetAt, given[i].SetBy = now(), who.Actor.Name
	}
	var before deploy.Variables
	edit := func(all deploy.Variables) (deploy.Variables, error) {
		before = all
		kept := slices.DeleteFunc(slices.Clone(all), func(v deploy.Variable) bool { return named(given, v.Name) })
		return append(kept, given...), nil
	}
	return before, c.changeVariables(ctx, who, app, edit, deploy.EventVariableSet, &given)
}

// UnsetVariables takes variables from an app, all or none.
func (c *Control) UnsetVariables(ctx context.Context, who deploy.Caller, app deploy.AppName, names ...string) error {
	if _, err := c.App(ctx, who, app, deploy.RightPush); err != nil {
		return err
	}
	var gone deploy.Variables
	edit := func(all deploy.Variables) (deploy.Variables, error) {
		for _, name := range names {
			at := slices.IndexFunc(all, func(v deploy.Variable) bool { return v.Name == name })
			if at < 0 {
				return nil, deploy.Reject(deploy.CodeNotFound, "%s has no variable %.100q", app, name).WithHint("slipway config list %s", app)
			}
			gone = append(gone, all[at]) // with its marks
			all = slices.Delete(all, at, at+1)
		}
		return all, nil
	}
	return c.changeVariables(ctx, who, app, edit, deploy.EventVariableUnset, &gone)
}

// changeVariables changes the variables of an app, and records an event for each of those in changed.
func (c *Control) changeVariables(ctx context.Context, who deploy.Caller, app deploy.AppName, edit func(deploy.Variables) (deploy.Variables, error), what deploy.EventType, changed *deploy.Variables) error {
	err := c.Variables.Change(ctx, app, edit, func(ctx context.Context) error {
		for _, v := range *changed {
			event := deploy.Event{Type: what, App: app, Environment: deploy.Production}
			if err := c.Record(ctx, who, event.WithData(v)); err != nil {
				return err
			}
		}
		return nil
	})
	return c.withoutKey(who, app, err)
}

// FinishVariables ends a change of an app's variables in whose middle a server was killed, and records what it
// changes, again if that server has. One that fails, such as for want of the key, stays for the next start.
func (c *Control) FinishVariables(ctx context.Context, app deploy.AppName) error {
	recovery := deploy.Caller{Actor: deploy.ServerActor("recovery")}
	return c.Variables.Finish(ctx, app, func(ctx context.Context, before, after deploy.Variables) error {
		record := func(what deploy.EventType, v deploy.Variable) error {
			event := deploy.Event{Type: what, App: app, Environment: deploy.Production, Reason: "the server went away in the middle of this"}
			return c.Record(ctx, recovery, event.WithData(v))
		}
		for _, v := range after {
			if slices.Contains(before, v) {
				continue
			}
			if err := record(deploy.EventVariableSet, v); err != nil {
				return err
			}
		}
		for _, v := range before {
			if named(after, v.Name) {
				continue
			}
			if err := record(deploy.EventVariableUnset, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// VariableNames returns an app's variables without their values.
func (c *Control) VariableNames(ctx context.Context, who deploy.Caller, app deploy.AppName) (deploy.Variables, error) {
	if _, err := c.App(ctx, who, app, deploy.RightRead); err != nil {
		return nil, err
	}
	all, err := c.Variables.Read(ctx, app)
	for i := range all {
		all[i].Value = ""
	}
	return all, c.withoutKey(who, app, err)
}

// VariableValues returns an app's variables with their values, for those who may push: they can have
// the app print them.
func (c *Control) VariableValues(ctx context.Context, who deploy.Caller, app deploy.AppName) (deploy.Variables, error) {
	if _, err := c.App(ctx, who, app, deploy.RightPush); err != nil {
		return nil, err
	}
	all, err := c.Variables.Read(ctx, app)
	if err != nil {
		return nil, c.withoutKey(who, app, err)
	}
	event := deploy.Event{Type: deploy.EventVariablesRead, App: app, Environment: deploy.Production}
	return all, c.Record(ctx, who, event)
}

// withoutKey makes a rejection of the error that the key is missing: it is the server that cannot do it,
// and somebody has to hear what mends it.
func (c *Control) withoutKey(who deploy.Caller, app deploy.AppName, err error) error {
	if !errors.Is(err, deploy.ErrNoKey) {
		return err
	}
	c.Logger.Error("variables cannot be read", "app", app, "error", err)
	r := deploy.Reject(deploy.CodeUnavailable, "the key that the variables of %s are encrypted with is missing; nothing is lost", app)
	if !who.Everything() {
		return r.WithHint("an admin reads what to do with: slipway status")
	}
	return r.WithHint("%v", err)
}

func named(all deploy.Variables, name string) bool {
	return slices.ContainsFunc(all, func(v deploy.Variable) bool { return v.Name == name })
}
