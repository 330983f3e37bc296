package control

import (
	"context"
	"errors"

	"slipway/deploy"
)

// CreateApp makes an app with an empty repository.
func (c *Control) CreateApp(ctx context.Context, who deploy.Caller, n deploy.NewApp) (deploy.App, error) {
	if err := NeedAdmin(who); err != nil {
		return deploy.App{}, err
	}
	app, err := c.planned(n)
	if err != nil {
		return deploy.App{}, err
	}
	c.making.Lock()
	defer c.making.Unlock()
	if _, err := c.Records.App(ctx, app.Name); err == nil {
		return deploy.App{}, deploy.Reject(deploy.CodeExists, "there is an app %q already", app.Name)
	} else if !errors.Is(err, deploy.ErrNotFound) {
		return deploy.App{}, err
	}
	if err := c.Places.Clear(ctx, app.Name); err != nil { // it must not be handed that
		return deploy.App{}, err
	}
	if app.ID, err = c.Records.NextAppID(ctx); err != nil {
		return deploy.App{}, err
	}
	if err := c.Record(ctx, who, deploy.Event{Type: deploy.EventAppCreated, App: app.Name}.WithData(app)); err != nil {
		return deploy.App{}, err
	}
	// It is recorded: whoever asked may leave, but it has to be there.
	return app, c.Places.Make(context.WithoutCancel(ctx), app)
}

// planned is an app as it would be recorded, but for its ID.
func (c *Control) planned(n deploy.NewApp) (deploy.App, error) {
	if _, err := deploy.ParseAppName(string(n.Name)); err != nil {
		return deploy.App{}, deploy.Reject(deploy.CodeUsage, "%v", err)
	}
	if n.Branch == "" {
		n.Branch = "main"
	}
	switch n.ObjectFormat {
	case "":
		n.ObjectFormat = "sha1"
	case "sha1", "sha256":
	default:
		return deploy.App{}, deploy.Reject(deploy.CodeUsage, "the object format is sha1 or sha256")
	}
	ref := deploy.RefName("refs/heads/" + n.Branch)
	if err := c.Places.CheckRef(ref); err != nil {
		return deploy.App{}, deploy.Reject(deploy.CodeUsage, "%.60q is not a branch name", n.Branch)
	}
	return deploy.App{Name: n.Name, GatedRef: ref, ObjectFormat: n.ObjectFormat, CreatedAt: now()}, nil
}

// RemoveApp ends an app and deletes its repository, releases and storage for good; its history stays. The
// tokens that were limited to it are revoked: another app may be given its name. confirm has to be its name.
func (c *Control) RemoveApp(ctx context.Context, who deploy.Caller, name deploy.AppName, confirm string) error {
	if err := NeedAdmin(who); err != nil {
		return err
	}
	app, err := c.App(ctx, who, name, deploy.RightRead)
	if err != nil {
		return err
	}
	if confirm != string(app.Name) {
		return deploy.Reject(deploy.CodeUsage, "this ends %s and deletes its repository, releases and storage for good", app.Name).
			WithHint("if you mean it: slipway app remove %s -confirm %s", app.Name, app.Name)
	}
	c.making.Lock() // nobody is to be given the name while what had it is being deleted
	defer c.making.Unlock()
	if err := c.revokeTokens(ctx, who, func(t deploy.Token) bool { return t.Limit.App == app.Name }); err != nil {
		return err
	}
	if err := c.Record(ctx, who, deploy.Event{Type: deploy.EventAppRemoved, App: app.Name}); err != nil {
		return err
	}
	return c.Places.Remove(context.WithoutCancel(ctx), app)
}

// Freeze has an app take no deployments, and every pusher read why.
func (c *Control) Freeze(ctx context.Context, who deploy.Caller, app deploy.AppName, reason string) error {
	return c.setFrozen(ctx, who, app, deploy.EventTargetFrozen, reason, needReason)
}

// Unfreeze has an app take deployments again. What a failed deployment left is ended before, as far as
// that can be done; where it cannot, the rejection says so, and deployments are taken all the same.
func (c *Control) Unfreeze(ctx context.Context, who deploy.Caller, app deploy.AppName, reason string) error {
	a, err := c.App(ctx, who, app, deploy.RightBypass)
	if err != nil {
		return err
	}
	wrong := c.Pipeline.PutRight(ctx, a)
	if err := c.setFrozen(ctx, who, app, deploy.EventTargetUnfrozen, reason, reasonOf); err != nil || wrong == nil {
		return err
	}
	c.Logger.Error("an app that is unfrozen is not as recorded", "app", app, "error", wrong)
	why := "the server's log says why"
	if r, ok := deploy.AsRejection(wrong); ok {
		why = r.Message
	}
	return deploy.Reject(deploy.CodeUnavailable, "%s takes deployments again, but what runs could not be made what is recorded: %s", app, why).
		WithHint("slipway status shows the difference; slipway doctor says what to do")
}

func (c *Control) setFrozen(ctx context.Context, who deploy.Caller, app deploy.AppName, what deploy.EventType, reason string, check func(string) (string, error)) error {
	if _, err := c.App(ctx, who, app, deploy.RightBypass); err != nil {
		return err
	}
	reason, err := check(reason)
	if err != nil {
		return err
	}
	return c.Record(ctx, who, deploy.Event{Type: what, App: app, Environment: deploy.Production, Reason: reason})
}

// Releases returns an app's good releases that are kept, newest first.
func (c *Control) Releases(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Release, error) {
	if _, err := c.App(ctx, who, app, deploy.RightRead); err != nil {
		return nil, err
	}
	all, err := c.Records.Releases(ctx, app)
	for i := range all {
		all[i].Dir = c.Layout.Release(app, all[i].Number)
	}
	return all, err
}
