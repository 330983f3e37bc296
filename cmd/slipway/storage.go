package main

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/checkout"
	"slipway/deploy/retention"
	"slipway/deploy/store"
)

// What has to do with room on the disk.

func (s *server) wireTrees() {
	s.trees = checkout.New(checkout.Config{
		Layout: s.config.layout, Repository: s.repos, Owner: s.sandbox.HostID, Logger: s.logger,
		Room: func(ctx context.Context, app deploy.App) bool { return s.retention.Spacious(ctx, app) },
	})
}

func (s *server) wireRetention() {
	c := s.config
	s.retention = retention.New(s.points.housekeeping(retention.Config{
		Layout: c.layout, Records: s.store, Recorder: s.reserve, Reserve: s.reserve, Repositories: s.repos, Pipeline: s.pipeline,
		DropSpare: s.trees.Drop, Logger: s.logger,
		Policy: retention.Policy{Logs: daysOf(c.KeepLogs), Rejected: c.KeepRejected, Cache: bytesOf(c.Cache), MinFree: bytesOf(c.MinFree)},
	}))
}

// current answers from the records as they stand in the audit log. The database may be behind, where the
// disk is full: an older answer would have an older release put into production.
type current struct {
	*store.Store
	recorder *audit.Recorder
	reserve  *retention.Reserve
}

func (s *server) records() current { return current{s.store, s.recorder, s.reserve} }

func (c current) TargetState(ctx context.Context, t deploy.Target) (deploy.TargetState, error) {
	if err := c.catchUp(ctx); err != nil {
		return deploy.TargetState{}, err
	}
	return c.Store.TargetState(ctx, t)
}

func (c current) Unfinished(ctx context.Context) ([]deploy.Deployment, error) {
	if err := c.catchUp(ctx); err != nil {
		return nil, err
	}
	return c.Store.Unfinished(ctx)
}

func (c current) catchUp(ctx context.Context) error {
	err := c.recorder.CatchUp(ctx)
	for err != nil && ctx.Err() == nil && c.reserve.Relieve(err) {
		err = c.recorder.CatchUp(ctx)
	}
	return err
}

// ready returns what says why an offer cannot be built or run here now.
func (s *server) ready() func(context.Context, deploy.Offer) error {
	able := ready(remembered(s.sandbox.Check, sandboxTrust), s.variables)
	return func(ctx context.Context, o deploy.Offer) error {
		if err := able(ctx); err != nil {
			return err
		}
		if o.Again != nil && o.Again.Kind == deploy.AgainRollback {
			return nil // its release is there
		}
		return s.retention.Room(o.App)
	}
}

// treesAhead has a tree made for each app, from which its next push begins.
func (s *server) treesAhead(ctx context.Context, apps []deploy.App) error {
	for _, app := range apps {
		state, err := s.store.TargetState(ctx, deploy.Target{App: app.Name, Environment: deploy.Production})
		if err != nil {
			return err
		}
		s.trees.Ahead(app, state.Revision)
	}
	return nil
}

var daysPattern = regexp.MustCompile(`^([0-9]{1,5})d$`)

// parseDays reads a span such as 90d.
func parseDays(s string) (time.Duration, error) {
	m := daysPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, errors.New("it is a number of days such as 90d")
	}
	n, err := strconv.Atoi(m[1])
	return time.Duration(n) * 24 * time.Hour, err
}

// daysOf returns a span that check has seen.
func daysOf(s string) time.Duration {
	d, err := parseDays(s)
	if err != nil {
		panic("config: " + s + ": " + err.Error())
	}
	return d
}
