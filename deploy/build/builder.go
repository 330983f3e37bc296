package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
	"slipway/deploy/manifest"
	"slipway/deploy/sandbox"
)

// Egress is the way out for steps with network: a proxy that listens on a unix socket for one step,
// until it is closed. It lets through to the hosts that every step may reach and those that allow names,
// and writes a line to log for each host reached or refused, none after it was closed.
type Egress interface {
	Listen(socket string, allow []string, log io.Writer) (io.Closer, error)
	// Dialer reaches the same hosts for requests of the server's own.
	Dialer(allow []string) (func(ctx context.Context, network, address string) (net.Conn, error), error)
}

// Variables reads an app's own variables. Which of them a step sees is told by their marks; none of their
// values is in what a step's log or tail keeps, of any step.
type Variables interface {
	Read(context.Context, deploy.AppName) (deploy.Variables, error)
}

// Config is what a [Builder] needs. Sandbox, Layout and Executable have to be set, and Egress if steps
// are to have network.
type Config struct {
	Sandbox *sandbox.Sandbox
	Egress  Egress
	Layout  deploy.Layout
	// Executable is the argv that runs inner.Main with the arguments that follow. Its first element is
	// an absolute path on this machine, which is mounted in the sandbox.
	Executable []string
	// Defaults are the limits of a step that does not set its own.
	Defaults deploy.Limits
	// Path is the PATH of all steps; "" is DefaultPath.
	Path string
	// MaxLog is how large a log may become, in bytes; 0 is DefaultMaxLog.
	MaxLog int64
	// RunDir is where sockets are made; "" is /run for root, and else the folder for temporary files.
	RunDir string
	// EgressFor names the hosts that the operator granted to an app's hooks and deploy commands, beside
	// those that all steps may reach.
	EgressFor func(deploy.AppName) []string
	// Variables of the apps; nil for none.
	Variables Variables
	// Logger gets what neither fails a step nor helps a pusher; nil drops it.
	Logger *slog.Logger
}

// Defaults of a Config.
const (
	DefaultMaxLog       = 64 << 20
	defaultReadyTimeout = 30 * time.Second
)

// Builder builds and tests. It is safe for concurrent use.
type Builder struct {
	config  Config
	copying sync.Mutex // the program for the sandbox
	owning  sync.Mutex // trees and caches
}

// New returns a builder. It starts and touches nothing.
func New(c Config) *Builder {
	if c.Path == "" {
		c.Path = DefaultPath
	}
	if c.MaxLog == 0 {
		c.MaxLog = DefaultMaxLog
	}
	if c.RunDir == "" {
		c.RunDir = os.TempDir()
		if os.Geteuid() == 0 {
			c.RunDir = "/run"
		}
	}
	if c.EgressFor == nil {
		c.EgressFor = func(deploy.AppName) []string { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Builder{config: c}
}

// Read returns the manifest of a tree, following no link out of it. A [deploy.Rejection] says what is
// wrong with it.
func (b *Builder) Read(ctx context.Context, tree string) (*deploy.Manifest, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, fmt.Errorf("opening tree: %w", err)
	}
	defer root.Close()
	return manifest.Read(root)
}

// Build runs the job's build step. It returns when all its processes are gone: nil if it succeeded, a
// [deploy.Rejection] if the revision failed, ctx's error wrapped if ctx ended, and a fault otherwise.
// log gets what the step prints. It sees none of the app's variables.
func (b *Builder) Build(ctx context.Context, job *deploy.Job, log io.Writer) error {
	s := &step{
		Step:    job.Manifest.Build,
		name:    "build",
		words:   words{code: deploy.CodeBuild, subject: "build", line: "build", section: "build"},
		network: job.Manifest.Build.Network,
	}
	return b.run(ctx, job, s, log)
}

// Test runs one test set, beside the built app if the set asks for it; the app's output goes to
// test.SET.app.log in the deployment's folder. Both may write to the tree, and see what they wrote; but
// nobody else does: each set finds the tree as it was built, and so does the release. It returns as
// [Builder.Build] does. The build's cache
// folders are mounted for tests too: what tests the build's own cache, such as cargo's target, is there.
// Of the app's variables the set and the app beside it see those marked for tests, which win over the
// manifest's.
func (b *Builder) Test(ctx context.Context, job *deploy.Job, set deploy.TestSet, log io.Writer) error {
	s := &step{
		Step:    set.Step,
		name:    "test-" + set.Name,
		words:   words{code: deploy.CodeTest, subject: fmt.Sprintf("test set %q", set.Name), line: "test " + set.Name, section: "test." + set.Name},
		network: set.Step.Network,
	}
	if err := b.require(ctx, job, set, log); err != nil {
		return err
	}
	s.shared = deploy.Variables.ForTests
	s.scratch = true
	s.Cache = slices.Concat(s.Cache, job.Manifest.Build.Cache)
	if set.App {
		web, ok := job.Manifest.Web()
		if !ok {
			return deploy.Reject(deploy.CodeManifest, "test set %q wants the app beside it, but there is no process named %s", set.Name, deploy.WebProcess)
		}
		s.app, s.appLog = &web, "test."+set.Name+".app.log"
	}
	return b.run(ctx, job, s, log)
}

// Run runs a hook's step, or one that deploys elsewhere, with the app's variables that are marked for
// deploying, and vars over them. The step named release gets only vars, and the app's storage at
// /storage. The tree is read-only by then: what was tested is what is deployed. The network reaches the
// hosts that Config.EgressFor grants the app. It returns as [Builder.Build] does.
func (b *Builder) Run(ctx context.Context, job *deploy.Job, name string, st deploy.Step, vars map[string]string, log io.Writer) error {
	s := &step{
		Step:     st,
		name:     name,
		words:    wordsFor(name),
		vars:     vars,
		readOnly: true,
		storage:  name == stepRelease,
		network:  st.Network,
		hosts:    b.config.EgressFor(job.App.Name),
	}
	if name != stepRelease {
		s.shared = deploy.Variables.ForDeploying
	}
	return b.run(ctx, job, s, log)
}

// End ends every process of deployment n's steps, also those that an earlier server process started,
// and removes the sockets it left. It returns when they are gone.
func (b *Builder) End(ctx context.Context, n deploy.Number) error {
	if err := b.end(ctx, func(of deploy.Number) bool { return of == n }); err != nil {
		return fmt.Errorf("ending steps of deployment %d: %w", n, err)
	}
	return nil
}

// EndAll is [Builder.End] of every deployment: for a server that starts, when none is in work.
func (b *Builder) EndAll(ctx context.Context) error {
	if err := b.end(ctx, func(deploy.Number) bool { return true }); err != nil {
		return fmt.Errorf("ending the steps that a server left: %w", err)
	}
	return nil
}

func (b *Builder) end(ctx context.Context, its func(deploy.Number) bool) error {
	names, err := b.config.Sandbox.Names()
	if err != nil {
		return fmt.Errorf("listing sandboxes: %w", err)
	}
	var errs []error
	for _, name := range names {
		if n, ok := numberOf(name, ""); ok && its(n) {
			errs = append(errs, b.config.Sandbox.KillAll(ctx, name))
		}
	}
	left, err := os.ReadDir(b.config.RunDir)
	errs = append(errs, err)
	for _, dir := range left {
		if n, ok := numberOf(dir.Name(), b.runName("")); ok && its(n) {
			errs = append(errs, os.RemoveAll(filepath.Join(b.config.RunDir, dir.Name())))
		}
	}
	return errors.Join(errs...)
}

// numberOf returns the deployment whose step's name it is, after prefix.
func numberOf(name, prefix string) (deploy.Number, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	number, _, hyphen := strings.Cut(rest, "-")
	n, err := deploy.ParseNumber(number)
	return n, ok && hyphen && err == nil
}
