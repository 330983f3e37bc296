package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/build"
	"slipway/deploy/checkout"
	"slipway/deploy/manifest"
	"slipway/deploy/monitor"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/retention"
	"slipway/deploy/sandbox"
	"slipway/deploy/sandbox/egress"
	"slipway/deploy/store"
	"slipway/deploy/traffic"
	"slipway/deploy/variables"
	"slipway/gitserver"
	"slipway/gitserver/repo"
)

// libexec holds the hook program, which make build puts there.
//
//go:embed libexec
var libexec embed.FS

// undoTimeout is how long putting production back may take before it has failed.
const undoTimeout = 2 * time.Minute

// routerTimeout is how long the router may take to answer.
const routerTimeout = 30 * time.Second

// sandboxTrust is how long a sandbox that worked is taken to work. One that does not after all is a fault
// of the push that meets it.
const sandboxTrust = 10 * time.Minute

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
	sandbox    *sandbox.Sandbox
	supervisor *traffic.Supervisor
	variables  *variables.Store
	engine     *release.Local
	pipeline   *pipeline.Pipeline
	trees      *checkout.Trees
	retention  *retention.Keeper
	reserve    *retention.Reserve
	repos      *repo.Store
	git        *gitserver.Server
	commands   *commands
	ended      chan struct{} // closed by the command shutdown
	logger     *slog.Logger
}

func newServer(ctx context.Context, c config, logger *slog.Logger) (*server, error) {
	hook, err := fs.ReadFile(libexec, "libexec/slipway-hook")
	if err != nil {
		return nil, errors.New("this program was built without its hook: build it with make build")
	}
	if err := makeFolders(c.layout); err != nil {
		return nil, err
	}
	s := &server{config: c, ended: make(chan struct{}), logger: logger}
	if err := s.openRecords(ctx); err != nil {
		return nil, err
	}
	if err := s.wire(hook); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// makeFolders makes the data directory. Sandboxed processes have another user id and must be able to
// pass through to their trees, but not to list anything.
func makeFolders(l deploy.Layout) error {
	for dir, mode := range map[string]fs.FileMode{
		string(l): 0o711, filepath.Join(string(l), "apps"): 0o711, filepath.Join(string(l), "deployments"): 0o700,
		l.Repos(): 0o700, l.Hooks(): 0o700, l.Router(): 0o700, l.Audit(): 0o700,
	} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
	}
	return nil
}

// openRecords opens the audit log, which one server at a time can, and the database derived from it.
func (s *server) openRecords(ctx context.Context) error {
	l := s.config.layout
	var err error
	if s.log, err = audit.Open(l.Audit(), audit.Config{Logger: s.logger}); err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	if s.store, err = store.Open(ctx, l.Database(), s.logger); err != nil {
		_ = s.log.Close()
		return fmt.Errorf("opening the database: %w", err)
	}
	s.recorder = audit.NewRecorder(s.log, s.store, s.logger)
	s.reserve = retention.NewReserve(l.Reserve(), s.recorder, s.logger)
	if err := s.recorder.CatchUp(ctx); err != nil {
		s.close()
		return fmt.Errorf("bringing the database up to date with the audit log: %w", err)
	}
	return nil
}

func (s *server) close() {
	if err := errors.Join(s.store.Close(), s.log.Close()); err != nil {
		s.logger.Error("closing the records", "error", err)
	}
}

// wire makes everything else. Nothing of it starts here.
func (s *server) wire(hook []byte) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	c, l := s.config, s.config.layout
	boxes := c.boxes(s.logger)
	s.sandbox, s.variables = sandbox.New(boxes), variables.New(l)
	proxy := egress.New(egress.Config{Allow: c.Egress, Logger: s.logger})
	elsewhere, err := clientOf(proxy, c)
	if err != nil {
		return err
	}
	builder := build.New(build.Config{
		Sandbox: s.sandbox, Egress: proxy, Layout: l,
		Executable: []string{self, "inner"}, Defaults: c.limits(), Path: c.path(), EgressFor: c.granted, Variables: s.variables, Logger: s.logger,
	})
	router := traffic.NewClient(filepath.Join(l.Router(), "sock"))
	s.supervisor = traffic.NewSupervisor(traffic.SupervisorConfig{
		Argv:   []string{self, "router", "-listen", c.Proxy, "-domain", c.Domain, "-dir", l.Router()},
		Client: router, LogPath: filepath.Join(l.Router(), "log"), Version: version, Table: s.routes, Logger: s.logger,
	})
	s.engine = release.NewLocal(release.Config{
		Layout: l, Sandbox: s.sandbox, Router: routerOf{router}, Path: c.path(), Defaults: c.limits(), Logger: s.logger,
		KeeperArgv: keeperArgv(self, boxes), Variables: s.variables,
	})
	s.repos = repo.New(repo.Config{Layout: l, Logger: s.logger})
	s.wireTrees()
	addresses := c.addresses(func() string { return s.git.Addr() })
	watcher := monitor.New(monitor.Config{Instances: s.engine, Counters: router, Client: elsewhere, Logger: s.logger})
	s.pipeline = pipeline.New(pipeline.Config{
		Layout: l, Recorder: s.reserve, Records: s.records(), History: s.records(), Refs: s.repos,
		Trees: s.trees, Builder: builder, Runner: builder,
		Local:    s.engine,
		External: release.NewExternal(release.ExternalConfig{Layout: l, Runner: builder, Variables: s.variables, Client: elsewhere, Logger: s.logger}),
		Releases: s.engine, Instances: s.engine, Watcher: watcherOf{watcher},
		Parse: manifest.Parse, Format: manifest.Format, Ready: s.ready(), Full: s.reserve.Full,
		Addresses: addresses, UndoTimeout: undoTimeout, Parallel: runtime.NumCPU(), Logger: s.logger,
	})
	s.wireRetention()
	s.commands = &commands{
		layout: l, store: s.store, recorder: s.recorder, repos: s.repos, engine: s.engine, pipeline: s.pipeline,
		variables: s.variables, trees: s.trees, router: router,
		addresses: addresses, sandbox: s.sandbox.Check, patient: s.asPatient, shutdown: sync.OnceFunc(func() { close(s.ended) }), startedAt: time.Now(), logger: s.logger,
	}
	s.git = gitserver.New(gitserver.Config{
		Addr: c.SSH, HostKeyPath: l.HostKey(), HooksDir: l.Hooks(), HookProgram: hook, Repos: s.repos,
		Gate: s.pipeline, Directory: s.store, Commands: overSSH{s.commands}, Recorder: recorderOf{s.reserve}, Room: s.retention.Room,
		Limits: gitserver.Limits{PackBytes: bytesOf(c.MaxPush), Shutdown: stopTimeout}, Logger: s.logger,
	})
	return nil
}

// clientOf asks productions that are elsewhere. Pushers write their addresses, so it reaches only what
// a build may reach or what was granted to an app.
func clientOf(proxy *egress.Proxy, c config) (*http.Client, error) {
	dial, err := proxy.Dialer(c.allGranted())
	if err != nil {
		return nil, fmt.Errorf("egress or grants in the configuration: %w", err)
	}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// boxes says how this server's sandboxes are made; its keepers, which are processes of their own, make
// them the same way.
func (c *config) boxes(logger *slog.Logger) sandbox.Config {
	// Two servers on one machine must not find each other's processes.
	sum := sha256.Sum256([]byte(c.layout))
	return sandbox.Config{
		Mode: sandbox.Mode(c.Sandbox), Toolchains: c.Toolchains, Group: "slipway-" + hex.EncodeToString(sum[:4]), Logger: logger,
	}
}

// keeperArgv is how an instance's keeper is started; release adds the instance's folder.
func keeperArgv(self string, c sandbox.Config) []string {
	argv := []string{self, "keeper", "-sandbox", string(c.Mode), "-group", c.Group}
	if len(c.Toolchains) > 0 {
		argv = append(argv, "-toolchains", strings.Join(c.Toolchains, ":"))
	}
	return argv
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
	err := s.start(pushing, "serve")
	if err == nil {
		var listener *control
		if listener, err = listenControl(s.config.layout.Socket(), s.commands, s.logger); err == nil {
			front.Go(func() error { return s.failing(stop, s.git.Run(pushing)) })
			front.Go(func() error { return s.failing(stop, listener.Run(pushing)) })
			front.Go(func() error { return s.failing(stop, s.health(pushing)) })
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
	if err := s.sandbox.Check(ctx); err != nil {
		s.logger.Error("no sandbox: every push will be refused", "error", err)
	}
	if err := s.variables.Check(ctx); err != nil {
		s.logger.Error("what needs these variables will fail", "error", err)
	}
	if s.config.Sandbox == string(sandbox.ModeNone) {
		s.logger.Warn(`sandbox = "none": whoever may push may do on this machine what the server may`)
	}
	apps, err := s.store.Apps(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		if err := ensureApp(ctx, s.config.layout, s.repos, app); err != nil {
			return err
		}
		if err := s.repos.Sweep(ctx, app.Name); err != nil {
			return fmt.Errorf("sweeping the repository of %s: %w", app.Name, err)
		}
	}
	select {
	case <-s.supervisor.Ready():
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(routerTimeout):
		return fmt.Errorf("the router did not start within %s: read %s", routerTimeout, filepath.Join(s.config.layout.Router(), "log"))
	}
	if err := s.pipeline.Settle(ctx); err != nil {
		return err
	}
	return s.treesAhead(ctx, apps)
}

// bootID tells one boot of this machine from another; proc(5).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// announce waits until git can be spoken and says where everything is.
func (s *server) announce(ctx context.Context, out io.Writer) {
	select {
	case <-s.git.Ready():
	case <-ctx.Done():
		return
	}
	a := s.commands.addresses
	fmt.Fprintf(out, "slipway %s is ready\n  data     %s\n  git      %s\n  commands ssh %s COMMAND   (or: slipway -data %s COMMAND)\n  apps     %s\n",
		version, s.config.layout, a.Clone("APP"), a.SSH(), s.config.layout, a.App("APP"))
}

// routes is the router's table by the records, for a router that has just been started.
func (s *server) routes(ctx context.Context) ([]traffic.Route, error) {
	apps, err := s.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	var all []traffic.Route
	for _, app := range apps {
		target := deploy.Target{App: app.Name, Environment: deploy.Production}
		route := traffic.Route{App: app.Name}
		if route.Release, err = s.pipeline.InForce(ctx, target); err != nil {
			return nil, err
		}
		if route.Release != 0 {
			all, err := s.engine.Instances(ctx, target, route.Release)
			if err != nil {
				return nil, err
			}
			// Workers get no traffic.
			route.Upstreams = slices.DeleteFunc(all, func(i deploy.Instance) bool { return i.Addr == "" })
		}
		all = append(all, route)
	}
	return all, nil
}

// health answers whether the server is alive.
func (s *server) health(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.config.HTTP)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = web.Close() })()
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}
