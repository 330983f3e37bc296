package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	meter "slipway/api/metrics"
	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/checkout"
	"slipway/deploy/control"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/retention"
	"slipway/deploy/sandbox"
	"slipway/deploy/store"
	"slipway/deploy/traffic"
	"slipway/deploy/variables"
	"slipway/gitserver"
	"slipway/gitserver/repo"
)

// routerTimeout is how long the router may take to answer.
const routerTimeout = 30 * time.Second

// stopTimeout is how long a stopping server waits for deployments that have been switched.
const stopTimeout = 5 * time.Minute

// serveCommand runs the server until ctx ends. It starts in this order: records (which also lock the
// data directory), router, settling of what a killed server left, then the listeners. It stops in
// the other order: the listeners close and pushes before their switch are interrupted, those after it
// run to their verdict, replaced releases are drained, and the records close last. The router and
// the instances stay.
func serveCommand(ctx context.Context, data string, args []string, std stdio) error {
	c, err := readConfig(data, args)
	if err != nil {
		return err
	}
	ctx, done := ownSignals(ctx)
	defer done()
	logger := slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	s, err := newServer(ctx, c, logger)
	if err != nil {
		return err
	}
	defer s.close()
	return s.run(ctx, std)
}

// server is everything, wired.
type server struct {
	config     config
	log        *audit.Log
	recorder   *audit.Recorder
	store      *store.Store
	mirror     *store.Mirror // nil unless PostgreSQL is configured
	sandbox    *sandbox.Sandbox
	router     *traffic.Client
	supervisor *traffic.Supervisor
	recent     *traffic.Recent
	variables  *variables.Store
	engine     *release.Local
	pipeline   *pipeline.Pipeline
	trees      *checkout.Trees
	retention  *retention.Keeper
	reserve    *retention.Reserve
	repos      *repo.Store
	git        *gitserver.Server
	control    *control.Control
	commands   *commands
	metrics    *meter.Metrics
	addresses  pipeline.Addresses
	points     killPoints
	ended      chan struct{} // closed by the command shutdown
	logger     *slog.Logger
}

func newServer(ctx context.Context, c config, logger *slog.Logger) (*server, error) {
	hook, err := embedded("slipway-hook")
	if err != nil {
		return nil, err
	}
	if err := withItsLog(c.layout); err != nil {
		return nil, err
	}
	if err := makeFolders(c.layout); err != nil {
		return nil, err
	}
	s := &server{config: c, ended: make(chan struct{}), logger: logger}
	if s.points, err = openKillPoints(); err != nil {
		return nil, err
	}
	if err := s.openRecords(ctx); err != nil {
		return nil, err
	}
	if err := s.wire(hook); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// run starts everything and returns when the server has stopped.
func (s *server) run(ctx context.Context, std stdio) error {
	// Two spans of life: the listeners and the pushes end with pushing, what they need with needed.
	pushing, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { stop(deploy.ErrShutdown) })()
	needed, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()

	var behind, front errgroup.Group
	behind.Go(func() error { return s.failing(stop, s.supervisor.Run(needed)) })
	behind.Go(func() error { return s.failing(stop, s.recorder.Run(needed)) })
	behind.Go(func() error { return s.failing(stop, s.store.Tend(needed, s.recorder.Rebuild)) })
	behind.Go(func() error { return s.failing(stop, s.follow(needed)) })
	err := s.start(pushing, "serve")
	if err == nil {
		var listener *commandSocket
		if listener, err = listenControl(s.config.layout.Socket(), s.commands, s.logger); err == nil {
			front.Go(func() error { return s.failing(stop, s.git.Run(pushing)) })
			front.Go(func() error { return s.failing(stop, listener.Run(pushing)) })
			front.Go(func() error { return s.failing(stop, s.web(pushing)) })
			front.Go(func() error { return s.failing(stop, s.control.Run(pushing)) })
			front.Go(func() error { return s.failing(stop, s.observe(pushing)) })
			front.Go(func() error { return s.failing(stop, s.recent.Run(pushing)) })
			front.Go(func() error { return s.failing(stop, s.control.Observe(pushing)) })
			front.Go(func() error { return s.failing(stop, s.pipeline.Tend(pushing)) })
			front.Go(func() error { return s.failing(stop, s.trees.Run(pushing)) })
			front.Go(func() error { return s.failing(stop, s.retention.Run(pushing)) })
			front.Go(func() error { return s.untilShutdown(pushing, stop) })
			s.announce(pushing, std.err)
		}
	}
	if err != nil {
		stop(err)
	}
	err = errors.Join(err, front.Wait())
	err = errors.Join(err, s.afterPushes(ctx))
	release()
	return errors.Join(err, behind.Wait())
}

// failing stops the server when a part of it has failed. That a part was told to end is no failure.
func (s *server) failing(stop context.CancelCauseFunc, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	stop(err)
	return err
}

func (s *server) untilShutdown(ctx context.Context, stop context.CancelCauseFunc) error {
	select {
	case <-s.ended:
		stop(deploy.ErrShutdown)
	case <-ctx.Done():
	}
	return nil
}

// afterPushes waits for replaced releases to be drained and, if that was asked for, ends the router and
// every instance.
func (s *server) afterPushes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.pipeline.Wait(ctx); err != nil {
		return fmt.Errorf("draining replaced releases: %w", err)
	}
	select {
	case <-s.ended:
	default:
		return nil
	}
	apps, err := s.store.Apps(ctx)
	if err != nil {
		return err
	}
	err = s.supervisor.Stop(ctx)
	for _, app := range apps {
		target := deploy.Target{App: app.Name, Environment: deploy.Production}
		err = errors.Join(err, s.engine.Sweep(ctx, target))
	}
	return errors.Join(err, s.sandbox.Tidy())
}

// start brings the data directory and production to what the records say. origin is what for.
func (s *server) start(ctx context.Context, origin string) error {
	event := deploy.Event{Type: deploy.EventServerStarted, Actor: deploy.ServerActor(origin)}
	event = event.WithData(deploy.ServerData{Version: version, PID: os.Getpid(), BootID: bootID()})
	if _, err := s.recorder.Record(ctx, event); err != nil {
		return err
	}
	if err := errors.Join(s.variables.SweepKey(), s.sandbox.EndTrials(ctx)); err != nil {
		return err
	}
	s.warn(ctx)
	apps, err := s.store.Apps(ctx)
	if err != nil {
		return err
	}
	if err := s.prepareApps(ctx, apps); err != nil {
		return err
	}
	if err := s.untilRouter(ctx); err != nil {
		return err
	}
	if err := s.pipeline.Settle(ctx); err != nil {
		return err
	}
	gone, err := s.store.RemovedApps(ctx)
	if err != nil {
		return err
	}
	s.places().finishRemovals(ctx, gone)
	return s.treesAhead(ctx, apps)
}

// warn says what will not work.
func (s *server) warn(ctx context.Context) {
	if err := s.sandbox.Check(ctx); err != nil {
		s.logger.Error("no sandbox: every push will be refused", "error", err)
	}
	if err := s.variables.Check(ctx); err != nil {
		s.logger.Error("what needs these variables will fail", "error", err)
	}
	if s.config.Sandbox == string(sandbox.ModeNone) {
		s.logger.Warn(`sandbox = "none": whoever may push may do on this machine what the server may`)
	}
}

// prepareApps finishes what was begun of the apps' folders and repositories.
func (s *server) prepareApps(ctx context.Context, apps []deploy.App) error {
	for _, app := range apps {
		if err := ensureApp(ctx, s.config.layout, s.repos, app); err != nil {
			return err
		}
		if err := s.control.FinishVariables(ctx, app.Name); err != nil {
			s.logger.Error("a change of variables waits for the next start", "app", app.Name, "error", err)
		}
	}
	return s.repos.SweepAll(ctx)
}

// untilRouter waits until the router answers.
func (s *server) untilRouter(ctx context.Context) error {
	select {
	case <-s.supervisor.Ready():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(routerTimeout):
		return fmt.Errorf("the router did not start within %s: read %s", routerTimeout, filepath.Join(s.config.layout.Router(), "log"))
	}
}

// announce waits until git can be spoken and says where everything is.
func (s *server) announce(ctx context.Context, out io.Writer) {
	select {
	case <-s.git.Ready():
	case <-ctx.Done():
		return
	}
	a := s.addresses
	fmt.Fprintf(out, "slipway %s is ready\n  data     %s\n  git      %s\n  commands ssh %s COMMAND   (or: slipway -data %s COMMAND)\n  apps     %s\n  pages    %s\n",
		version, s.config.layout, a.Clone("APP"), a.SSH(), s.config.layout, a.App("APP"), s.config.web())
}
