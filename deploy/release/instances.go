package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/deploy"
	"slipway/deploy/keeper"
	"slipway/deploy/sandbox"
)

const (
	// portAttempts is how often an instance is given another port because somebody else took its.
	portAttempts = 4
	// spawnTime bounds the start of a keeper, which takes milliseconds.
	spawnTime = 15 * time.Second
)

// run starts one new instance of each process of a plan, numbered after the first numbers, and
// returns when all of them are ready and kept. If one of them fails the others are given up, but not
// ended. who is what a rejection calls the release.
func (e *Local) run(ctx context.Context, p *plan, who string, first int) ([]deploy.Instance, error) {
	vars, err := e.config.Variables.Read(ctx, p.Job.App.Name)
	if err != nil {
		return nil, err
	}
	var specs []*spec
	for _, process := range p.Job.Manifest.Processes {
		s, err := e.prepare(p, process, first+1, vars)
		if err != nil {
			return nil, err
		}
		specs = append(specs, s)
	}
	if err := e.startAll(ctx, specs, who); err != nil {
		return nil, err
	}
	return instancesOf(specs), nil
}

// startAll starts instances beside each other. All of them are ready before one of them is kept.
func (e *Local) startAll(ctx context.Context, specs []*spec, who string) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, s := range specs {
		group.Go(func() error { return e.startReady(groupCtx, s, who) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, s := range specs {
		if err := e.keep(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes an instance's folder and spec. Nothing runs there, and the spec is not written yet.
func (e *Local) prepare(p *plan, process deploy.Process, index int, vars deploy.Variables) (*spec, error) {
	app, n := p.Job.App, p.Job.Number
	s := &spec{
		Instance:     deploy.Instance{App: app.Name, Release: n, Process: process.Name, Index: index},
		Revision:     p.Job.Revision,
		Dir:          e.layout.Release(app.Name, n),
		Health:       p.Job.Manifest.Health.Path,
		ReadyTimeout: p.Job.Manifest.Deploy.ReadyTimeout,
		Grace:        e.config.Grace, LogBytes: e.config.LogBytes, LogFiles: e.config.LogFiles,
		Trial: true, folder: e.folder(app.Name, n, process.Name, index),
	}
	if s.ReadyTimeout == 0 {
		s.ReadyTimeout = defaultReadyTimeout
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return nil, fmt.Errorf("making an instance's folder: %w", err)
	}
	var err error
	if s.Variables, err = e.config.Variables.Seal(app.Name, vars.All()); err != nil {
		return nil, err
	}
	s.Sandbox = e.surroundings(&p.Job, process.Env, process.Limits)
	s.Sandbox.Name = sandboxName(app.Name, n, process.Name, index)
	s.Sandbox.Argv = shell(process.Run)
	if process.Name == deploy.WebProcess {
		if err := s.choosePort(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// surroundings are what instances and the release command of a job see: the release at /app, which
// they cannot write to, the app's storage, a private /tmp, the host's network, and the environment but
// for the app's variables. Those win over the manifest's, and what Slipway itself says over both.
func (e *Local) surroundings(job *deploy.Job, env map[string]string, limits deploy.Limits) sandbox.Spec {
	box := e.config.Sandbox
	dir, storage := e.layout.Release(job.App.Name, job.Number), e.layout.Storage(job.App.Name)
	basic := map[string]string{"PATH": e.config.Path, "HOME": box.Path(storage, "/tmp"), "LANG": "C.UTF-8"}
	given := map[string]string{
		"SLIPWAY_APP":        string(job.App.Name),
		"SLIPWAY_REVISION":   string(job.Revision),
		"SLIPWAY_DEPLOYMENT": job.Number.String(),
		"SLIPWAY_STORAGE":    box.Path(storage, "/storage"),
	}
	return sandbox.Spec{
		ID:  job.App.ID,
		Env: environment(basic, env, given),
		Dir: box.Path(dir, "/app"),
		Mounts: []sandbox.Mount{
			{Source: dir, Target: "/app"},
			{Source: storage, Target: "/storage", Writable: true},
		},
		HostNetwork: true,
		Limits:      e.limits(limits),
	}
}

func (e *Local) limits(l deploy.Limits) sandbox.Limits {
	d := e.config.Defaults
	return sandbox.Limits{
		Memory: either(l.Memory, d.Memory), Processes: either(l.Processes, d.Processes), CPU: either(l.CPU, d.CPU),
		FileSize: either(l.FileSize, d.FileSize), Disk: either(l.Disk, d.Disk),
	}
}

func either[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// makeStorage makes sure that the app's instances can write to its storage.
func (e *Local) makeStorage(app deploy.App) error {
	dir := e.layout.Storage(app.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the storage of %s: %w", app.Name, err)
	}
	uid, gid := e.config.Sandbox.HostID(app.ID)
	if err := os.Lchown(dir, uid, gid); err != nil {
		return fmt.Errorf("giving %s its storage: %w", app.Name, err)
	}
	return nil
}

// startReady starts the instance of s on trial and returns when it is ready. An instance that fails
// because somebody else has its port is given another one.
func (e *Local) startReady(ctx context.Context, s *spec, who string) error {
	for attempt := 1; ; attempt++ {
		s.Trial = true
		if err := s.write(); err != nil {
			return err
		}
		if err := e.spawn(ctx, s); err != nil {
			return err
		}
		err := e.awaitReady(ctx, s, who)
		if !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return err
		}
		e.config.Logger.Info("another process has the instance's port", "instance", filepath.Base(s.folder), "port", s.Port)
		hold, err := e.halt(ctx, s.folder, s.Sandbox.Name, 0)
		if err != nil {
			return err
		}
		hold.Close()
		if err := os.Remove(keeper.LogPath(s.folder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("giving an instance another port: %w", err)
		}
		if err := s.choosePort(); err != nil {
			return err
		}
	}
}

func (e *Local) spawn(ctx context.Context, s *spec) error {
	ctx, cancel := context.WithTimeout(ctx, spawnTime)
	defer cancel()
	argv := append(append([]string{}, e.config.KeeperArgv...), s.folder)
	if err := keeper.Spawn(ctx, argv, s.folder); err != nil {
		return fmt.Errorf("starting process %s of release %s: %w", s.Instance.Process, s.Instance.Release, err)
	}
	return nil
}

// keep ends an instance's trial: from now on its keeper starts it again when it ends.
func (e *Local) keep(ctx context.Context, s *spec) error {
	s.Trial = false
	if err := s.write(); err != nil {
		return err
	}
	c, err := keeper.Connect(s.folder)
	if err != nil {
		return err
	}
	synced := make(chan error, 1)
	go func() { synced <- s.sync() }()
	_, err = c.Keep(ctx)
	return errors.Join(err, <-synced)
}

// choosePort gives the instance a port that is free now.
func (s *spec) choosePort() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.setPort(port)
	return nil
}

func (s *spec) setPort(port int) {
	s.Port = port
	s.Instance.Addr = address("127.0.0.1", port)
	s.Sandbox.Env = withVariables(s.Sandbox.Env, map[string]string{"PORT": fmt.Sprint(port)})
}
