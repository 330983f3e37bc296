package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

// Router passes an app's requests to the instances of one release.
type Router interface {
	// Route sends the app's requests to upstreams, and is in force when it returns. Release 0 is no
	// release: requests are told that nothing is deployed.
	Route(ctx context.Context, app deploy.AppName, release deploy.Number, upstreams []deploy.Instance) error
	// Routed is the release that gets the app's requests; 0 for none.
	Routed(ctx context.Context, app deploy.AppName) (deploy.Number, error)
	// Drain waits until no request is in flight to instances of the release that get no new ones, for
	// at most timeout.
	Drain(ctx context.Context, app deploy.AppName, release deploy.Number, timeout time.Duration) error
}

// Config is what a [Local] engine needs. Layout, Sandbox, Router, KeeperArgv and Variables have to be
// set; other zero values mean the defaults named.
type Config struct {
	Layout  deploy.Layout
	Sandbox *sandbox.Sandbox
	Router  Router
	// KeeperArgv, followed by an instance's folder, is a program that calls [KeeperMain] with it.
	KeeperArgv []string
	Variables  Variables
	Path       string        // PATH of instances; the usual folders
	Defaults   deploy.Limits // of a process or release command that sets none itself
	Settle     time.Duration // how long a process without traffic must run to count as ready; 500 ms
	Grace      time.Duration // between TERM and KILL when an instance is stopped; 10 s
	LogBytes   int64         // of one log file of an instance; 8 MiB
	LogFiles   int           // log files of an instance; 3
	Logger     *slog.Logger
}

// Local runs releases as processes on this machine.
type Local struct {
	directories
	config Config
	client *http.Client
}

const (
	// candidateGrace is Grace for instances that never got traffic.
	candidateGrace = time.Second
	// undoTime bounds the clearing up after a failed operation.
	undoTime = 30 * time.Second
	// defaultReadyTimeout is for a release that does not say.
	defaultReadyTimeout = 30 * time.Second
)

// NewLocal returns an engine. It starts nothing.
func NewLocal(c Config) *Local {
	c.Path = cmp.Or(c.Path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	c.Settle = cmp.Or(c.Settle, 500*time.Millisecond)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	c.LogBytes = cmp.Or(c.LogBytes, 8<<20)
	c.LogFiles = cmp.Or(c.LogFiles, 3)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Variables == nil {
		c.Variables = noVariables{}
	}
	return &Local{directories: directories{c.Layout}, config: c, client: probeClient()}
}

// Start makes a release of the job's tree, runs its release command, and starts all its instances. It
// returns when each of them is ready; they get no traffic yet. job.Tree is the release's directory
// from then on. log gets what the release command prints and what happens in plain words.
//
// A [deploy.Rejection] says what the revision did wrong, any other error is a fault. Either way nothing
// of the release is left: its tree is the work tree again, where a hook can still read it, and the
// instances' last words are in the deployment's folder. What the release command did is not undone.
func (e *Local) Start(ctx context.Context, job *deploy.Job, log io.Writer) (deploy.Candidate, error) {
	tree := job.Tree
	c, err := e.start(ctx, job, log)
	if err == nil {
		return c, nil
	}
	clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	grace := candidateGrace
	if ctx.Err() != nil {
		grace = 0 // canceled: nobody wants to wait for it
	}
	err = errors.Join(err, e.end(clear, job.App.Name, job.Number, grace))
	return deploy.Candidate{}, errors.Join(err, e.unmake(job, tree))
}

func (e *Local) start(ctx context.Context, job *deploy.Job, log io.Writer) (deploy.Candidate, error) {
	var none deploy.Candidate
	// What an interrupted start of the same number has left.
	if err := e.end(ctx, job.App.Name, job.Number, 0); err != nil {
		return none, err
	}
	p, err := e.make(job)
	if err != nil {
		return none, err
	}
	synced := make(chan error, 1)
	go func() { synced <- e.sync(p) }()
	instances, err := e.tryOut(ctx, p, job, log)
	if err == nil {
		select {
		case err = <-synced:
		case <-ctx.Done(): // whatever is not on disk yet need not be any more
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return none, err
	}
	return deploy.Candidate{Release: p.release(e.layout), Instances: instances}, nil
}

// tryOut runs the job's release command and starts its instances, and returns when they are ready.
func (e *Local) tryOut(ctx context.Context, p *plan, job *deploy.Job, log io.Writer) ([]deploy.Instance, error) {
	if err := e.makeStorage(job.App); err != nil {
		return nil, err
	}
	if err := e.releaseCommand(ctx, job, log); err != nil {
		return nil, err
	}
	begin := time.Now()
	instances, err := e.run(ctx, p, "the new release", 0)
	if err != nil {
		return nil, err
	}
	for _, i := range instances {
		fmt.Fprintf(log, "process %s is ready%s\n", i.Process, at(i))
	}
	fmt.Fprintf(log, "ready after %s\n", time.Since(begin).Round(time.Millisecond))
	return instances, nil
}

func at(i deploy.Instance) string {
	if i.Addr == "" {
		return ""
	}
	return " at " + i.Addr
}

// Serving tells which release gets the app's traffic, or serves without any because it has no process
// for it; 0 for none.
func (e *Local) Serving(ctx context.Context, t deploy.Target) (deploy.Number, error) {
	n, err := e.config.Router.Routed(ctx, t.App)
	if err != nil || n != 0 {
		return n, err
	}
	return e.quietly(t.App)
}

// Instances lists the instances of a release that were started and not stopped, the one that gets
// traffic first. Whether they still run is for [Local.Inspect] to tell.
func (e *Local) Instances(_ context.Context, t deploy.Target, n deploy.Number) ([]deploy.Instance, error) {
	specs, err := e.specs(t.App, n)
	if err != nil {
		return nil, err
	}
	return instancesOf(specs), nil
}
