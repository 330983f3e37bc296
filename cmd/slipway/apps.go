package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"slipway/deploy"
	"slipway/deploy/control"
)

func (c *commands) appCreate(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("app create")
	branch := f.String("branch", "main", "")
	format := f.String("object-format", "sha1", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := control.NeedAdmin(who); err != nil {
		return err
	}
	name, err := appNamed(names[0])
	if err != nil {
		return err
	}
	if *format != "sha1" && *format != "sha256" {
		return usageError("-object-format is sha1 or sha256")
	}
	app, err := c.control.CreateApp(ctx, who, deploy.NewApp{Name: name, Branch: *branch, ObjectFormat: *format})
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "app %s created: git remote add production %s\n", app.Name, c.addresses.Clone(app.Name))
	return nil
}

func (c *commands) appList(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("app list").parse(args, 0, 0); err != nil {
		return err
	}
	apps, err := c.control.Apps(ctx, who)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, a := range apps {
		state, err := c.control.State(ctx, who, a.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", a.Name, a.GatedRef.Short(), serving(state), c.addresses.Clone(a.Name))
	}
	return t.Flush()
}

func serving(s deploy.TargetState) string {
	if s.Serving == 0 {
		return "nothing deployed"
	}
	return fmt.Sprintf("serves %s (deployment %d)", s.Revision.Short(), s.Serving)
}

func (c *commands) appRemove(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("app remove")
	confirm := f.String("confirm", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	name, err := appNamed(names[0])
	if err != nil {
		return err
	}
	if err := c.control.RemoveApp(ctx, who, name, *confirm); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "app %s removed; its history stays\n", name)
	return nil
}

func (c *commands) appGrant(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("app grant").parse(args, 3, 3)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	user, err := userNamed(names[1])
	if err != nil {
		return err
	}
	grant := deploy.Grant{App: app, User: user}
	switch names[2] {
	case "none":
	case string(deploy.RoleDeveloper), string(deploy.RoleViewer):
		grant.Role = deploy.Role(names[2])
	default:
		return usageError(fmt.Sprintf("%.40q is not a role on an app: use developer, viewer or none", names[2]))
	}
	if err := c.control.Grant(ctx, who, grant); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is %s on %s\n", user, names[2], app)
	return nil
}
