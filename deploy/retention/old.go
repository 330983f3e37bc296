package retention

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"slipway/deploy"
)

// batch is how many deployments one event names.
const batch = 500

// protected are the releases of all apps that must stay as they are: what serves, and what a roll back
// goes to.
func (k *Keeper) protected(ctx context.Context, apps []deploy.App) (map[deploy.Number]bool, error) {
	all := map[deploy.Number]bool{}
	for _, app := range apps {
		state, err := k.config.Records.TargetState(ctx, targetOf(app))
		if err != nil {
			return nil, fmt.Errorf("reading the state of %s: %w", app.Name, err)
		}
		all[state.Serving], all[state.Previous] = true, true
	}
	return all, nil
}

// pruneLogs removes the folders of deployments that ended long ago.
func (k *Keeper) pruneLogs(ctx context.Context, apps []deploy.App) error {
	keep, err := k.protected(ctx, apps)
	if err != nil {
		return err
	}
	folder := filepath.Dir(k.config.Layout.Deployment(1))
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listing the logs: %w", err)
	}
	var old []deploy.Number
	for _, e := range entries {
		n, err := deploy.ParseNumber(e.Name())
		if err != nil || keep[n] || k.config.Pipeline.InFlight(n) {
			continue
		}
		gone, err := k.longAgo(ctx, n, e)
		if err != nil {
			return err
		}
		if gone {
			old = append(old, n)
		}
	}
	for some := range slices.Chunk(old, batch) {
		if err := k.record(ctx, deploy.EventLogsPruned, "", deploy.PrunedData{Deployments: some}); err != nil {
			return err
		}
		for _, n := range some {
			if err := os.RemoveAll(k.config.Layout.Deployment(n)); err != nil {
				return fmt.Errorf("removing logs: %w", err)
			}
		}
	}
	return nil
}

// longAgo tells whether a deployment ended before the time for which logs are kept. One that nobody
// knows is as old as its folder.
func (k *Keeper) longAgo(ctx context.Context, n deploy.Number, e fs.DirEntry) (bool, error) {
	d, err := k.config.Records.Deployment(ctx, n)
	ended := d.FinishedAt
	switch {
	case errors.Is(err, deploy.ErrNotFound):
		info, err := e.Info()
		if err != nil {
			return false, nil // it has gone by itself
		}
		ended = info.ModTime()
	case err != nil:
		return false, fmt.Errorf("reading deployment %d: %w", n, err)
	case !d.Status.Final(), k.hasRelease(d):
		return false, nil
	case ended.IsZero():
		ended = d.QueuedAt
	}
	return time.Since(ended) > k.config.Policy.Logs, nil
}

// hasRelease tells whether the release of a deployment is kept. Its folder says how that release is run.
func (k *Keeper) hasRelease(d deploy.Deployment) bool {
	_, err := os.Stat(k.config.Layout.Release(d.App, d.Number))
	return err == nil
}

// forgetRejected takes the refs of revisions away that were not accepted: all that are old, and all but
// the newest ones.
func (k *Keeper) forgetRejected(ctx context.Context, app deploy.App) error {
	kept, err := k.config.Repositories.Kept(ctx, app.Name)
	if err != nil {
		return err
	}
	slices.Sort(kept)
	slices.Reverse(kept)
	rejected := 0
	var gone []deploy.Number
	for _, n := range kept {
		d, err := k.config.Records.Deployment(ctx, n)
		if err != nil && !errors.Is(err, deploy.ErrNotFound) {
			return fmt.Errorf("reading deployment %d: %w", n, err)
		}
		unknown := err != nil || d.App != app.Name
		if unknown || !d.Status.Final() || d.Status == deploy.StatusAccepted || k.config.Pipeline.InFlight(n) {
			continue
		}
		rejected++
		if rejected > k.config.Policy.Rejected || time.Since(d.QueuedAt) > k.config.Policy.Logs {
			gone = append(gone, n)
		}
	}
	for some := range slices.Chunk(gone, batch) {
		if err := k.record(ctx, deploy.EventRevisionsPruned, app.Name, deploy.PrunedData{Deployments: some}); err != nil {
			return err
		}
		if err := k.config.Repositories.Forget(ctx, app.Name, some...); err != nil {
			return err
		}
	}
	return nil
}
