package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	meter "slipway/api/metrics"
	"slipway/cmd/slipway/aside"
	"slipway/deploy/build"
	"slipway/deploy/control"
	"slipway/deploy/manifest"
	"slipway/deploy/mask"
	"slipway/deploy/monitor"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/sandbox"
	"slipway/deploy/sandbox/egress"
	"slipway/deploy/traffic"
	"slipway/deploy/variables"
	"slipway/gitserver"
	"slipway/gitserver/repo"
)

// How the parts are put together.

// undoTimeout is how long putting production back may take before it has failed.
const undoTimeout = 2 * time.Minute

// answerFirst is how long after a verdict the replaced release is drained and the next work tree made. The
// pusher has the answer by then.
const answerFirst = 50 * time.Millisecond

// sandboxTrust is how long a sandbox that worked is taken to work. One that does not after all is a fault
// of the push that meets it.
const sandboxTrust = 10 * time.Minute

// wire makes everything but the records, and starts nothing. Each part is made after those that it is given.
func (s *server) wire(hook []byte) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	c, l := s.config, s.config.layout
	proxy := egress.New(egress.Config{Allow: c.Egress, Logger: s.logger})
	elsewhere, err := clientOf(proxy, c)
	if err != nil {
		return err
	}
	s.sandbox, s.variables = sandbox.New(c.boxes(s.logger)), variables.New(l)
	s.repos = repo.New(repo.Config{Layout: l, TreeBytes: bytesOf(c.Disk), Logger: s.logger})
	s.addresses = c.addresses(func() string { return s.git.Addr() })
	beside, err := installAside(l)
	if err != nil {
		return err
	}
	s.wireProduction(self, beside)
	s.wireTrees()
	s.wirePipeline(beside, proxy, elsewhere)
	s.wireRetention()
	s.wireCommands()
	s.wireGit(hook)
	return nil
}

// wireProduction makes what keeps instances and brings traffic to them. self is this program, beside the
// one that is started beside it.
func (s *server) wireProduction(self, beside string) {
	c, l := s.config, s.config.layout
	s.router = traffic.NewClient(filepath.Join(l.Router(), "sock"))
	s.recent = traffic.NewRecent(s.router, s.logger)
	s.supervisor = traffic.NewSupervisor(traffic.SupervisorConfig{
		Argv:   []string{self, "router", "-listen", c.Proxy, "-domain", c.Domain, "-dir", l.Router()},
		Client: s.router, LogPath: filepath.Join(l.Router(), "log"), Version: version, Table: s.routes, Logger: s.logger,
	})
	s.engine = release.NewLocal(release.Config{
		Layout: l, Sandbox: s.sandbox, Router: s.points.router(routerOf{s.router}), Path: c.path(), Defaults: c.limits(), Logger: s.logger,
		KeeperArgv: aside.KeeperArgv(beside, c.boxes(s.logger)), Variables: s.variables,
	})
}

// wirePipeline makes the stages and the order of things. elsewhere asks productions that are not here.
func (s *server) wirePipeline(beside string, proxy *egress.Proxy, elsewhere *http.Client) {
	c, l := s.config, s.config.layout
	builder := build.New(build.Config{
		Sandbox: s.sandbox, Egress: proxy, Layout: l,
		Executable: []string{beside, aside.CommandInner}, Defaults: c.limits(), Path: c.path(), EgressFor: c.granted, Variables: s.variables, Logger: s.logger,
	})
	watcher := monitor.New(monitor.Config{Instances: s.engine, Counters: s.router, Client: elsewhere, Logger: s.logger})
	external := release.NewExternal(release.ExternalConfig{Layout: l, Runner: builder, Variables: s.variables, Client: elsewhere, Logger: s.logger})
	s.pipeline = pipeline.New(s.points.pipeline(pipeline.Config{
		Layout: l, Recorder: s.reserve, Records: s.records(), History: s.records(), Refs: s.repos,
		Trees: s.trees, Builder: builder, Runner: builder, Local: s.engine, External: external,
		Releases: s.engine, Instances: s.engine, Watcher: watcherOf{watcher},
		Parse: manifest.Parse, Format: manifest.Format, Ready: s.ready(), Full: s.reserve.Full,
		Addresses: s.addresses, UndoTimeout: undoTimeout, Parallel: runtime.NumCPU(), PutOff: answerFirst, Logger: s.logger,
	}))
}

// wireCommands makes what people may ask, and what runs commands over it, from the socket and over SSH.
func (s *server) wireCommands() {
	s.control = control.New(control.Config{
		Layout: s.config.layout, Records: s.store, Recorder: s.recorder, Pipeline: s.pipeline, Engine: engineOf{s.engine}, Variables: s.variables,
		Places: s.places(), Refs: s.repos, Sources: s.repos, Trail: trail{s.config.layout, s.recorder},
		Mask:   func(values map[string]string, text string) string { return mask.New(values).String(text) },
		Logger: s.logger,
	})
	s.metrics = meter.New(metricsSource{s}, s.logger)
	s.commands = &commands{
		layout: s.config.layout, store: s.store, recorder: s.recorder,
		control: s.control, engine: s.engine, pipeline: s.pipeline, variables: s.variables, addresses: s.addresses, web: s.config.web(), sandbox: s.sandbox.Check,
		patient: s.asPatient, shutdown: sync.OnceFunc(func() { close(s.ended) }), startedAt: time.Now(), logger: s.logger,
	}
}

func (s *server) places() places {
	return places{s.config.layout, s.repos, s.engine, s.trees, s.router, s.logger}
}

// wireGit makes what is spoken to over SSH. hook is the program that git runs.
func (s *server) wireGit(hook []byte) {
	c, l := s.config, s.config.layout
	s.git = gitserver.New(gitserver.Config{
		Addr: c.SSH, HostKeyPath: l.HostKey(), HooksDir: l.Hooks(), HookProgram: hook, Repos: s.repos,
		Gate: s.points.gate(s.pipeline), Directory: s.store, Commands: overSSH{s.commands}, Recorder: recorderOf{s.reserve}, Room: s.retention.Room,
		Head:   func() string { return s.recorder.Head().String() },
		Limits: c.clients(), Logger: s.logger,
	})
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
