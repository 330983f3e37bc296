package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	"slipway/deploy"
	"slipway/gitserver/repo"
)

func (c *commands) appCreate(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("app create")
	branch := f.String("branch", "main", "")
	format := f.String("object-format", "sha1", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := who.needAdmin(); err != nil {
		return err
	}
	name, err := deploy.ParseAppName(names[0])
	if err != nil {
		return usageError(err.Error())
	}
	if *format != "sha1" && *format != "sha256" {
		return usageError("-object-format is sha1 or sha256")
	}
	ref := deploy.RefName("refs/heads/" + *branch)
	if err := repo.CheckRefName(ref); err != nil {
		return usageError(fmt.Sprintf("%.60q is not a branch name", *branch))
	}
	if _, err := c.store.App(ctx, name); err == nil {
		return deploy.Reject(deploy.CodeExists, "there is an app %q already", name)
	} else if !errors.Is(err, deploy.ErrNotFound) {
		return err
	}
	// It must not be handed what an app of that name has left.
	if err := c.finishRemoval(ctx, name); err != nil {
		return err
	}
	id, err := c.store.NextAppID(ctx)
	if err != nil {
		return err
	}
	app := deploy.App{Name: name, ID: id, GatedRef: ref, ObjectFormat: *format, CreatedAt: now()}
	if err := c.record(ctx, who, deploy.Event{Type: deploy.EventAppCreated, App: name}.WithData(app)); err != nil {
		return err
	}
	if err := ensureApp(ctx, c.layout, c.repos, app); err != nil {
		return err
	}
	if err := c.engine.Switch(ctx, deploy.Target{App: name, Environment: deploy.Production}, 0, 0); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "app %s created: git remote add production %s\n", name, c.addresses.Clone(name))
	return nil
}

// ensureApp makes the folders and the repository of a recorded app, where they are missing: the server
// may have been killed between the record and its effect.
func ensureApp(ctx context.Context, l deploy.Layout, repos *repo.Store, app deploy.App) error {
	for _, dir := range []string{l.App(app.Name), l.Releases(app.Name), l.Cache(app.Name), l.Storage(app.Name), l.Instances(app.Name)} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("making the folders of app %s: %w", app.Name, err)
		}
	}
	if repos.Exists(app.Name) {
		return nil
	}
	return repos.Create(ctx, app.Name, repo.Options{ObjectFormat: repo.ObjectFormat(app.ObjectFormat), GatedRef: app.GatedRef})
}

func (c *commands) appList(ctx context.Context, who caller, args []string, std stdio) error {
	if _, err := newFlags("app list").parse(args, 0, 0); err != nil {
		return err
	}
	apps, err := c.visible(ctx, who)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, a := range apps {
		state, err := c.store.TargetState(ctx, deploy.Target{App: a.Name, Environment: deploy.Production})
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

func (c *commands) appRemove(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("app remove")
	confirm := f.String("confirm", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := who.needAdmin(); err != nil {
		return err
	}
	app, err := c.app(ctx, who, names[0], deploy.RightRead)
	if err != nil {
		return err
	}
	if *confirm != string(app.Name) {
		return deploy.Reject(deploy.CodeUsage, "this ends %s and deletes its repository, releases and storage for good", app.Name).
			WithHint("if you mean it: slipway app remove %s -confirm %s", app.Name, app.Name)
	}
	if err := c.record(ctx, who, deploy.Event{Type: deploy.EventAppRemoved, App: app.Name}); err != nil {
		return err
	}
	if err := c.removeApp(context.WithoutCancel(ctx), app); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "app %s removed; its history stays\n", app.Name)
	return nil
}

// finishRemovals removes what is left of apps that are recorded as removed: the server may have been
// killed between the record and its effect.
func (c *commands) finishRemovals(ctx context.Context) error {
	gone, err := c.store.RemovedApps(ctx)
	if err != nil {
		return err
	}
	for _, app := range gone {
		if err := c.finishRemoval(ctx, app.Name); err != nil {
			c.logger.Error("finishing the removal of an app", "app", app.Name, "error", err)
		}
	}
	return nil
}

// finishRemoval removes what is left under the name of an app that is none any more.
func (c *commands) finishRemoval(ctx context.Context, name deploy.AppName) error {
	// The folder goes last.
	if _, err := os.Lstat(c.layout.App(name)); errors.Is(err, fs.ErrNotExist) && !c.repos.Exists(name) {
		return nil
	}
	c.logger.Info("finishing the removal of an app", "app", name)
	return c.removeApp(ctx, deploy.App{Name: name})
}

// removeApp takes an app out of production and deletes what it had. What is gone already is no error.
func (c *commands) removeApp(ctx context.Context, app deploy.App) error {
	target := deploy.Target{App: app.Name, Environment: deploy.Production}
	from, err := c.engine.Serving(ctx, target)
	if err != nil {
		return err
	}
	if err := c.engine.Switch(ctx, target, from, 0); err != nil {
		return err
	}
	if err := c.engine.Sweep(ctx, target); err != nil {
		return err
	}
	if err := c.router.Remove(ctx, app.Name); err != nil {
		return err
	}
	if err := c.repos.Remove(ctx, app.Name); err != nil && !errors.Is(err, deploy.ErrNotFound) {
		return err
	}
	if err := c.trees.Drop(ctx, app.Name); err != nil {
		return err
	}
	return os.RemoveAll(c.layout.App(app.Name))
}

func (c *commands) appGrant(ctx context.Context, who caller, args []string, std stdio) error {
	names, err := newFlags("app grant").parse(args, 3, 3)
	if err != nil {
		return err
	}
	if err := who.needAdmin(); err != nil {
		return err
	}
	app, err := c.app(ctx, who, names[0], deploy.RightRead)
	if err != nil {
		return err
	}
	user, err := c.user(ctx, names[1])
	if err != nil {
		return err
	}
	grant := deploy.Grant{App: app.Name, User: user.Name}
	switch names[2] {
	case "none":
	case string(deploy.RoleDeveloper), string(deploy.RoleViewer):
		grant.Role = deploy.Role(names[2])
	default:
		return usageError(fmt.Sprintf("%.40q is not a role on an app: use developer, viewer or none", names[2]))
	}
	if err := c.record(ctx, who, deploy.Event{Type: deploy.EventGrantSet, App: app.Name}.WithData(grant)); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is %s on %s\n", user.Name, names[2], app.Name)
	return nil
}
