package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/traffic"
	"slipway/gitserver/repo"
)

// Deploying with the server dead. It is the server without its listeners: the same records, the same
// lock, the same settling of what was cut off, and then the same gate, led through by one offer of the
// operator: a bypass of the tests, or a roll back where a release of the revision is kept. So whatever ends
// it, the next server settles it like any other.

// operatorName is who deploys by hand, in history.
const operatorName = "operator"

// order is what the operator asks for.
type order struct {
	app      deploy.AppName
	revision string // as git understands it
	reason   string
	build    bool // even if a release is kept
	unfreeze bool
}

// deployCommand is slipway deploy APP REVISION -manual -reason TEXT.
func deployCommand(ctx context.Context, data string, args []string, std stdio) error {
	o, c, err := readOrder(ctx, data, args)
	if err != nil {
		return err
	}
	ctx, done := ownSignals(ctx)
	defer done()
	logger := slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := newServer(ctx, c, logger)
	if errors.Is(err, audit.ErrHeld) {
		pid := holderOf(c.layout)
		return fmt.Errorf("a server runs in %s (pid %s): push to it\nif it does not answer, end it first: kill %s   (apps and traffic go on)", c.layout, pid, pid)
	}
	if err != nil {
		return err
	}
	defer s.close()
	return s.runByHand(ctx, o, std)
}

func readOrder(ctx context.Context, data string, args []string) (order, config, error) {
	f := newFlags("deploy")
	var o order
	manual := f.Bool("manual", false, "")
	f.StringVar(&o.reason, "reason", "", "")
	f.BoolVar(&o.build, "build", false, "")
	f.BoolVar(&o.unfreeze, "unfreeze", false, "")
	for _, name := range []string{"data", "config", "proxy"} {
		f.String(name, "", "")
	}
	names, err := f.parse(args, 2, 2)
	if err != nil {
		return o, config{}, err
	}
	if !*manual {
		return o, config{}, usageError("git push is how one deploys; with the server dead: slipway deploy APP REVISION -manual -reason \"…\"")
	}
	if o.reason = strings.TrimSpace(o.reason); o.reason == "" {
		return o, config{}, usageError("say why, for the audit log: -reason \"…\"")
	}
	if o.app, err = deploy.ParseAppName(names[0]); err != nil {
		return o, config{}, usageError(err.Error())
	}
	o.revision = names[1]
	c, err := readConfig(data, given(f, "data", "config", "proxy"))
	if err != nil {
		return o, c, err
	}
	if _, err := os.Stat(c.layout.Audit()); err != nil {
		return o, c, fmt.Errorf("%s is no data directory: it has no audit log; say where it is with -data DIR", c.layout)
	}
	if f.Lookup("proxy").Value.String() == "" {
		c.likeRouter(ctx)
	}
	return o, c, nil
}

// given is those of the flags that were given, as the command line of serve.
func given(f *flags, names ...string) []string {
	var args []string
	for _, name := range names {
		f.Visit(func(set *flag.Flag) {
			if set.Name == name {
				args = append(args, "-"+name+"="+set.Value.String())
			}
		})
	}
	return args
}

// likeRouter takes over what the router that runs was started with, which may have come from the dead
// server's command line: a router that differs would be replaced.
func (c *config) likeRouter(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	h, err := traffic.NewClient(filepath.Join(c.layout.Router(), "sock")).Health(ctx)
	if err != nil || len(h.Arguments) == 0 {
		return // none runs
	}
	f := newRouterFlags()
	if _, err := f.parse(h.Arguments[1:], 0, 0); err != nil {
		return // of another version
	}
	c.Proxy, c.Domain = *f.listen, *f.domain
}

// holderOf is the process that has the audit log, for people.
func holderOf(l deploy.Layout) string {
	b, err := os.ReadFile(filepath.Join(l.Audit(), "pid"))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// runByHand does one order. What it needs beside it lives as long: the router outlives it.
func (s *server) runByHand(ctx context.Context, o order, std stdio) error {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	needed, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	var behind errgroup.Group
	behind.Go(func() error { return s.failing(stop, s.supervisor.Run(needed)) })
	behind.Go(func() error { return s.recorder.Run(needed) })
	err := s.start(working, "manual")
	if err == nil {
		err = s.deployByHand(working, o, std)
	}
	err = errors.Join(err, s.afterPushes(ctx))
	letGo()
	ended := behind.Wait()
	if ended == nil || errors.Is(err, ended) {
		return err
	}
	return errors.Join(err, ended)
}

func (s *server) deployByHand(ctx context.Context, o order, std stdio) error {
	app, err := s.store.App(ctx, o.app)
	if errors.Is(err, deploy.ErrNotFound) {
		return fmt.Errorf("there is no app %q", o.app)
	}
	if err != nil {
		return err
	}
	if err := s.lift(ctx, o); err != nil {
		return err
	}
	revision, err := s.repos.Find(ctx, app.Name, o.revision)
	if errors.Is(err, repo.ErrNotCommit) {
		return fmt.Errorf("%w in %s\nbring it there with git: git push %s HEAD:refs/heads/by-hand", err, s.repos.Dir(app.Name), s.repos.Dir(app.Name))
	}
	if err != nil {
		return err
	}
	if err := s.repos.SyncAll(app.Name); err != nil { // the operator has brought the revision there by a git of his own
		return err
	}
	kept, err := s.findKept(ctx, app.Name, revision)
	if err != nil {
		return err
	}
	s.pipeline.Recorder = operatorsRecorder{s.pipeline.Recorder, o.reason}
	s.pipeline.Addresses = s.config.addresses(func() string { return s.config.SSH }) // nobody listens now
	s.pipeline.Addresses.Page = func(deploy.Number) string { return "" }
	pusher := deploy.Pusher{User: operatorName, Admin: true}
	var answer deploy.Answer
	if kept != 0 && !o.build {
		fmt.Fprintf(std.out, "release %s of %s is kept: it is put into production as it is\n", kept, revision.Short())
		again := deploy.Again{Kind: deploy.AgainRollback, Of: kept, Reason: o.reason}
		answer = s.pipeline.Again(ctx, deploy.AgainRequest{App: app, Again: again, Caller: pusher}, std.out)
	} else {
		offer, err := s.offerOf(ctx, app, revision)
		if err != nil {
			return err
		}
		offer.Pusher, offer.Options = pusher, []string{"bypass", "reason=" + o.reason}
		answer = s.pipeline.Admit(ctx, offer, std.out)
	}
	if !answer.Accepted {
		return exitStatus(exitFailed)
	}
	return nil
}

// findKept returns the newest accepted release of a revision that is still there; zero if there is none,
// or if that revision serves already.
func (s *server) findKept(ctx context.Context, app deploy.AppName, revision deploy.OID) (deploy.Number, error) {
	state, err := s.store.TargetState(ctx, deploy.Target{App: app, Environment: deploy.Production})
	if err != nil || state.Revision == revision {
		return 0, err
	}
	releases, err := s.store.Releases(ctx, app)
	if err != nil {
		return 0, err
	}
	for _, r := range releases {
		if r.Revision == revision && holds(s.config.layout.Release(app, r.Number), revision) {
			return r.Number, nil
		}
	}
	return 0, nil
}

// holds tells whether a release's directory says that it is of that revision.
func holds(dir string, revision deploy.OID) bool {
	b, err := os.ReadFile(filepath.Join(dir, release.RevisionFile))
	return err == nil && strings.TrimSpace(string(b)) == string(revision)
}

// lift ends the target's freeze, if the operator asks for that.
func (s *server) lift(ctx context.Context, o order) error {
	state, err := s.store.TargetState(ctx, deploy.Target{App: o.app, Environment: deploy.Production})
	if err != nil || state.Frozen == "" {
		return err
	}
	if !o.unfreeze {
		return fmt.Errorf("%s is frozen: %s\nto deploy all the same, add -unfreeze", o.app, state.Frozen)
	}
	event := deploy.Event{Type: deploy.EventTargetUnfrozen, Actor: operator(), App: o.app, Environment: deploy.Production, Reason: o.reason}
	_, err = s.recorder.Record(ctx, event)
	return err
}

// offerOf offers a revision as a push of it would.
func (s *server) offerOf(ctx context.Context, app deploy.App, revision deploy.OID) (deploy.Offer, error) {
	commit, err := s.repos.Commit(ctx, app.Name, revision)
	if err != nil {
		return deploy.Offer{}, err
	}
	old, err := s.repos.Resolve(ctx, app.Name, app.GatedRef)
	if err != nil {
		return deploy.Offer{}, err
	}
	update := deploy.RefUpdate{Ref: app.GatedRef, Old: old, New: revision}
	return deploy.Offer{App: app.Name, Update: update, Commit: commit, Revision: s.repos.Revision(app.Name, revision)}, nil
}

func operator() deploy.Actor {
	return deploy.Actor{Type: deploy.ActorOperator, Name: operatorName, Origin: "manual"}
}

// operatorsRecorder says of everything that was the pusher's that the operator did it, and of what
// changes production why.
type operatorsRecorder struct {
	pipeline.Recorder
	reason string
}

func (r operatorsRecorder) Record(ctx context.Context, e deploy.Event) (deploy.Event, error) {
	if e.Actor.Name == operatorName && e.Actor.Key == "" {
		e.Actor = operator()
	}
	switch e.Type {
	case deploy.EventDeploymentQueued, deploy.EventDeploymentStarted, deploy.EventSwitchIntended, deploy.EventAccepted, deploy.EventRefMoved:
		e.Reason = r.reason
	}
	return r.Recorder.Record(ctx, e)
}
