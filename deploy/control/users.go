package control

import (
	"context"
	"errors"

	"slipway/deploy"
)

// AddUser makes a user, with the keys of authorized_keys lines, if there are any.
func (c *Control) AddUser(ctx context.Context, who deploy.Caller, name deploy.UserName, role deploy.Role, lines []byte) ([]deploy.Key, error) {
	if err := NeedAdmin(who); err != nil {
		return nil, err
	}
	if err := checkNewUser(name, role); err != nil {
		return nil, err
	}
	if _, err := c.Records.User(ctx, name); err == nil {
		return nil, deploy.Reject(deploy.CodeExists, "there is a user %q already", name).WithHint("slipway key add %s -key FILE   adds another key", name)
	} else if !errors.Is(err, deploy.ErrNotFound) {
		return nil, err
	}
	var keys []deploy.Key
	if len(lines) > 0 {
		var err error
		if keys, err = c.parseKeys(ctx, name, lines); err != nil {
			return nil, err
		}
	}
	user := deploy.User{Name: name, Role: role, CreatedAt: now()}
	if err := c.Record(ctx, who, deploy.Event{Type: deploy.EventUserCreated}.WithData(user)); err != nil {
		return nil, err
	}
	return keys, c.addKeys(ctx, who, keys)
}

func checkNewUser(name deploy.UserName, role deploy.Role) error {
	if _, err := deploy.ParseUserName(string(name)); err != nil {
		return deploy.Reject(deploy.CodeUsage, "%v", err)
	}
	if name == deploy.Operator {
		return deploy.Reject(deploy.CodeUsage, "history calls whoever works at the server itself %q: choose another name", name)
	}
	if _, err := deploy.ParseRole(string(role)); err != nil {
		return deploy.Reject(deploy.CodeUsage, "%v", err)
	}
	return nil
}

// Users returns all users by name.
func (c *Control) Users(ctx context.Context, who deploy.Caller) ([]deploy.User, error) {
	if err := NeedAdmin(who); err != nil {
		return nil, err
	}
	return c.Records.Users(ctx)
}

// User returns a user, for itself and for admins.
func (c *Control) User(ctx context.Context, who deploy.Caller, name deploy.UserName) (deploy.User, error) {
	if err := ownOrAdmin(who, name); err != nil {
		return deploy.User{}, err
	}
	return c.user(ctx, name)
}

func (c *Control) user(ctx context.Context, name deploy.UserName) (deploy.User, error) {
	user, err := c.Records.User(ctx, name)
	if errors.Is(err, deploy.ErrNotFound) {
		return user, deploy.Reject(deploy.CodeNotFound, "there is no user %q", name).WithHint("slipway user list")
	}
	return user, err
}

// RemoveUser removes a user with all keys, grants and tokens.
func (c *Control) RemoveUser(ctx context.Context, who deploy.Caller, name deploy.UserName) error {
	if err := NeedAdmin(who); err != nil {
		return err
	}
	user, err := c.user(ctx, name)
	if err != nil {
		return err
	}
	if err := c.revokeTokens(ctx, who, func(t deploy.Token) bool { return t.User == name }); err != nil {
		return err
	}
	return c.Record(ctx, who, deploy.Event{Type: deploy.EventUserRemoved}.WithData(user))
}

// Grants returns what is granted on an app, by user.
func (c *Control) Grants(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Grant, error) {
	if err := NeedAdmin(who); err != nil {
		return nil, err
	}
	if _, err := c.App(ctx, who, app, deploy.RightRead); err != nil {
		return nil, err
	}
	return c.Records.Grants(ctx, app)
}

// Grant gives a user a role on an app, or takes it away where g.Role is empty.
func (c *Control) Grant(ctx context.Context, who deploy.Caller, g deploy.Grant) error {
	if err := NeedAdmin(who); err != nil {
		return err
	}
	if _, err := c.App(ctx, who, g.App, deploy.RightRead); err != nil {
		return err
	}
	if _, err := c.user(ctx, g.User); err != nil {
		return err
	}
	switch g.Role {
	case "", deploy.RoleDeveloper, deploy.RoleViewer:
	default:
		return deploy.Reject(deploy.CodeUsage, "%.40q is not a role on an app: use developer, viewer or none", g.Role)
	}
	return c.Record(ctx, who, deploy.Event{Type: deploy.EventGrantSet, App: g.App}.WithData(g))
}
