package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"slipway/deploy"
	"slipway/deploy/checkout"
	"slipway/deploy/release"
	"slipway/deploy/traffic"
	"slipway/gitserver/repo"
)

// places are what apps have on this machine.
type places struct {
	layout deploy.Layout
	repos  *repo.Store
	engine *release.Local
	trees  *checkout.Trees
	router *traffic.Client
	logger *slog.Logger
}

// Make makes what a recorded app needs, and has the router answer for it.
func (p places) Make(ctx context.Context, app deploy.App) error {
	if err := ensureApp(ctx, p.layout, p.repos, app); err != nil {
		return err
	}
	return p.engine.Switch(ctx, deploy.Target{App: app.Name, Environment: deploy.Production}, 0, 0)
}

// CheckRef says why a ref cannot be gated.
func (p places) CheckRef(ref deploy.RefName) error { return repo.CheckRefName(ref) }

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

// finishRemovals removes what is left of apps that are recorded as removed: the server may have been
// killed between the record and its effect.
func (p places) finishRemovals(ctx context.Context, gone []deploy.App) {
	for _, app := range gone {
		if err := p.Clear(ctx, app.Name); err != nil {
			p.logger.Error("finishing the removal of an app", "app", app.Name, "error", err)
		}
	}
}

// Clear removes what is left under the name of an app that is none any more.
func (p places) Clear(ctx context.Context, name deploy.AppName) error {
	// The folder goes last.
	if _, err := os.Lstat(p.layout.App(name)); errors.Is(err, fs.ErrNotExist) && !p.repos.Exists(name) {
		return nil
	}
	p.logger.Info("finishing the removal of an app", "app", name)
	return p.Remove(ctx, deploy.App{Name: name})
}

// Remove takes an app out of production and deletes what it had. What is gone already is no error.
func (p places) Remove(ctx context.Context, app deploy.App) error {
	target := deploy.Target{App: app.Name, Environment: deploy.Production}
	from, err := p.engine.Serving(ctx, target)
	if err != nil {
		return err
	}
	if err := p.engine.Switch(ctx, target, from, 0); err != nil {
		return err
	}
	if err := p.engine.Sweep(ctx, target); err != nil {
		return err
	}
	if err := p.router.Remove(ctx, app.Name); err != nil {
		return err
	}
	if err := p.repos.Remove(ctx, app.Name); err != nil && !errors.Is(err, deploy.ErrNotFound) {
		return err
	}
	if err := p.trees.Forget(ctx, app); err != nil {
		return err
	}
	return os.RemoveAll(p.layout.App(app.Name))
}
