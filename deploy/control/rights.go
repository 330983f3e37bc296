package control

import (
	"context"
	"errors"
	"slices"

	"slipway/deploy"
)

// NeedAdmin refuses who may not do everything everywhere.
func NeedAdmin(who deploy.Caller) error {
	if who.Everything() {
		return nil
	}
	return deploy.Reject(deploy.CodeForbidden, "only an admin may do this").WithHint("ask an admin of this server")
}

// ownOrAdmin lets people manage what is their own, unless they come with less than their own rights.
func ownOrAdmin(who deploy.Caller, u deploy.UserName) error {
	if who.User == u && u != "" && whole(who) {
		return nil
	}
	return NeedAdmin(who)
}

// whole tells whether the caller has all rights of its user: a key or a token made with it is not more.
func whole(who deploy.Caller) bool {
	if who.Limit == nil || who.Everything() {
		return true
	}
	return !who.Admin && who.Limit.App == "" && who.Limit.Role != deploy.RoleViewer
}

// App returns an app by name if the caller has the right to it.
func (c *Control) App(ctx context.Context, who deploy.Caller, name deploy.AppName, right deploy.Right) (deploy.App, error) {
	app, _, err := c.access(ctx, who, name, right)
	return app, err
}

// Role is what the caller is on an app that it may read.
func (c *Control) Role(ctx context.Context, who deploy.Caller, name deploy.AppName) (deploy.Role, error) {
	_, role, err := c.access(ctx, who, name, deploy.RightRead)
	return role, err
}

// access returns an app if the caller has the right to it, and what the caller is on it.
func (c *Control) access(ctx context.Context, who deploy.Caller, name deploy.AppName, right deploy.Right) (deploy.App, deploy.Role, error) {
	missing := deploy.Reject(deploy.CodeNotFound, "there is no app %q", name).WithHint("slipway app list")
	app, grant, err := c.Records.Access(ctx, who.User, name)
	if errors.Is(err, deploy.ErrNotFound) {
		return deploy.App{}, "", missing
	}
	if err != nil {
		return deploy.App{}, "", err
	}
	role := who.RoleOn(name, grant)
	if !allows(role, deploy.RightRead) {
		return deploy.App{}, "", missing
	}
	if !allows(role, right) {
		return deploy.App{}, "", deploy.Reject(deploy.CodeForbidden, "your role on %s is %s, which does not allow this", name, role)
	}
	return app, role, nil
}

func allows(role deploy.Role, right deploy.Right) bool { return deploy.Allows(role, role, right) }

// Apps returns the apps that the caller may read, by name.
func (c *Control) Apps(ctx context.Context, who deploy.Caller) ([]deploy.App, error) {
	var apps []deploy.App
	var err error
	if s := who.Scope(); s.User == "" {
		apps, err = c.Records.Apps(ctx)
	} else {
		apps, err = c.Records.AppsVisible(ctx, s.User)
	}
	return slices.DeleteFunc(apps, func(a deploy.App) bool {
		return who.Limit != nil && who.Limit.App != "" && a.Name != who.Limit.App
	}), err
}

// Deployment returns a deployment by number if the caller has the right to its app. That of an app that
// was removed is for those who may read every app.
func (c *Control) Deployment(ctx context.Context, who deploy.Caller, n deploy.Number, right deploy.Right) (deploy.Deployment, error) {
	missing := deploy.Reject(deploy.CodeNotFound, "there is no deployment %d", n).WithHint("slipway deployments")
	// Not by its app's name alone: another app may have been given that since.
	found, err := c.Records.Deployments(ctx, deploy.DeploymentFilter{VisibleTo: who.Scope(), Before: n + 1, Limit: 1})
	if err != nil {
		return deploy.Deployment{}, err
	}
	if len(found) == 0 || found[0].Number != n {
		return deploy.Deployment{}, missing
	}
	if right == deploy.RightRead || who.Everything() {
		return found[0], nil
	}
	_, err = c.App(ctx, who, found[0].App, right)
	if r, ok := deploy.AsRejection(err); ok && r.Code == deploy.CodeNotFound {
		return deploy.Deployment{}, missing
	}
	return found[0], err
}
