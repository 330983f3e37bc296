//go:build crash

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/retention"
	"slipway/gitserver"
)

// killPoints counts every moment before and after a record, an effect or a change to the file system, writes its
// name to a file, and kills or stops the server at one of them. This file is in the program that crash_test.go
// builds and in no other.
//
// SLIPWAY_CRASH_TRACE names the file. SLIPWAY_CRASH_AT is the number of the point, from 1, or its name, for the
// first one of that name; 0 is never.
// SLIPWAY_CRASH_BY is KILL, or STOP for somebody who wants to kill something else at that moment.
type killPoints struct{ *killCounter }

type killCounter struct {
	mu         sync.Mutex
	trace      *os.File
	passed, at int
	named      string // the point, if it is not told by its number
	by         unix.Signal
}

func openKillPoints() (killPoints, error) {
	k := &killCounter{by: unix.SIGKILL}
	if os.Getenv("SLIPWAY_CRASH_BY") == "STOP" {
		k.by = unix.SIGSTOP
	}
	name := os.Getenv("SLIPWAY_CRASH_TRACE")
	if name == "" {
		return killPoints{k}, nil
	}
	var err error
	if k.at, err = strconv.Atoi(os.Getenv("SLIPWAY_CRASH_AT")); err != nil {
		k.named = os.Getenv("SLIPWAY_CRASH_AT")
	}
	k.trace, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	everyChange(k.change)
	return killPoints{k}, err
}

// everyChange has each change of a name in the file system told to somebody: what is about to happen or has, and
// to which name. It does so in a program that was built to tell of them (crash_changes_test.go).
var everyChange = func(func(what, name string)) {}

// pass counts a point, and does not return from it if the server is killed there.
func (k *killCounter) pass(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passed++
	if k.trace != nil {
		fmt.Fprintln(k.trace, name)
	}
	if k.named == name {
		k.named, k.at = "", k.passed
	}
	if k.passed != k.at {
		return
	}
	// Sent to this very thread: it is not to run a single instruction more.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), k.by)
}

// change is a point before or after a change of a name, of which the last two parts say enough.
func (k *killCounter) change(what, name string) {
	k.pass(what + " " + filepath.Join(filepath.Base(filepath.Dir(name)), filepath.Base(name)))
}

func (k *killCounter) around(name string, effect func() error) error {
	k.pass("before " + name)
	err := effect()
	k.pass("after " + name)
	return err
}

// Every event passes here, whoever records it: before it is written, when it is on disk, and when the
// database has it.
type killProjection struct {
	audit.Projection
	k *killCounter
}

func (k killPoints) projection(p audit.Projection) audit.Projection {
	return killProjection{p, k.killCounter}
}

func (p killProjection) Check(ctx context.Context, e deploy.Event, head uint64) error {
	p.k.pass("before " + name(e))
	return p.Projection.Check(ctx, e, head)
}

func (p killProjection) Project(ctx context.Context, events ...deploy.Event) error {
	what := strconv.Itoa(len(events)) + " events"
	if len(events) == 1 {
		what = name(events[0])
	}
	p.k.pass("recorded " + what)
	err := p.Projection.Project(ctx, events...)
	p.k.pass("projected " + what)
	return err
}

func name(e deploy.Event) string {
	if e.Stage == "" {
		return string(e.Type)
	}
	return string(e.Type) + " " + string(e.Stage)
}

type killRouter struct {
	release.Router
	k *killCounter
}

func (k killPoints) router(r release.Router) release.Router { return killRouter{r, k.killCounter} }

func (r killRouter) Route(ctx context.Context, app deploy.AppName, n deploy.Number, to []deploy.Instance) error {
	return r.k.around("route", func() error { return r.Router.Route(ctx, app, n, to) })
}

type killGate struct {
	gitserver.Gate
	k *killCounter
}

func (k killPoints) gate(g gitserver.Gate) gitserver.Gate { return killGate{g, k.killCounter} }

func (g killGate) Check(ctx context.Context, o deploy.Offer) error {
	return g.k.around("check", func() error { return g.Gate.Check(ctx, o) })
}

func (g killGate) Admit(ctx context.Context, o deploy.Offer, progress io.Writer) (a deploy.Answer) {
	_ = g.k.around("admit", func() error { a = g.Gate.Admit(ctx, o, progress); return nil })
	return a
}

// pipeline wraps what changes anything; looking is no transition.
func (k killPoints) pipeline(c pipeline.Config) pipeline.Config {
	c.Refs = killRefs{c.Refs, k.killCounter}
	c.Builder = killBuilder{c.Builder, k.killCounter}
	c.Runner = killRunner{c.Runner, k.killCounter}
	c.Local = &killEngine{c.Local, k.killCounter}
	c.External = &killEngine{c.External, k.killCounter}
	c.Releases = killReleases{c.Releases, k.killCounter}
	c.Instances = killInstances{c.Instances, k.killCounter}
	c.Trees = killTrees{c.Trees, k.killCounter}
	c.Watcher = killWatcher{c.Watcher, k.killCounter}
	return c
}

func (k killPoints) housekeeping(c retention.Config) retention.Config {
	c.Repositories = killRepositories{c.Repositories, k.killCounter}
	return c
}

type killRepositories struct {
	retention.Repositories
	k *killCounter
}

func (r killRepositories) Forget(ctx context.Context, app deploy.AppName, numbers ...deploy.Number) error {
	return r.k.around("forget revisions", func() error { return r.Repositories.Forget(ctx, app, numbers...) })
}

func (r killRepositories) Maintain(ctx context.Context, app deploy.AppName) error {
	return r.k.around("maintain", func() error { return r.Repositories.Maintain(ctx, app) })
}

func (r killRepositories) Prune(ctx context.Context, app deploy.AppName, grace time.Duration) error {
	return r.k.around("prune objects", func() error { return r.Repositories.Prune(ctx, app, grace) })
}

type killRefs struct {
	pipeline.Refs
	k *killCounter
}

func (r killRefs) Keep(ctx context.Context, app deploy.AppName, n deploy.Number, oid deploy.OID) error {
	return r.k.around("keep revision", func() error { return r.Refs.Keep(ctx, app, n, oid) })
}

func (r killRefs) Prepare(ctx context.Context, app deploy.AppName, u deploy.RefUpdate) (tx deploy.RefTransaction, err error) {
	err = r.k.around("prepare ref", func() error { tx, err = r.Refs.Prepare(ctx, app, u); return err })
	return killTransaction{tx, r.k}, err
}

type killTransaction struct {
	deploy.RefTransaction
	k *killCounter
}

func (tx killTransaction) Commit(ctx context.Context) error {
	return tx.k.around("commit ref", func() error { return tx.RefTransaction.Commit(ctx) })
}

func (tx killTransaction) Abort() error { return tx.k.around("abort ref", tx.RefTransaction.Abort) }

type killBuilder struct {
	pipeline.Builder
	k *killCounter
}

func (b killBuilder) Build(ctx context.Context, job *deploy.Job, log io.Writer) error {
	return b.k.around("build", func() error { return b.Builder.Build(ctx, job, log) })
}

func (b killBuilder) Test(ctx context.Context, job *deploy.Job, set deploy.TestSet, log io.Writer) error {
	return b.k.around("test "+set.Name, func() error { return b.Builder.Test(ctx, job, set, log) })
}

type killRunner struct {
	pipeline.Runner
	k *killCounter
}

func (r killRunner) Run(ctx context.Context, job *deploy.Job, name string, step deploy.Step, vars map[string]string, log io.Writer) error {
	return r.k.around("hook "+name, func() error { return r.Runner.Run(ctx, job, name, step, vars, log) })
}

func (r killRunner) End(ctx context.Context, n deploy.Number) error {
	return r.k.around("end steps", func() error { return r.Runner.End(ctx, n) })
}

func (r killRunner) EndAll(ctx context.Context) error {
	return r.k.around("end all steps", func() error { return r.Runner.EndAll(ctx) })
}

type killEngine struct {
	pipeline.Engine
	k *killCounter
}

func (e *killEngine) Start(ctx context.Context, job *deploy.Job, log io.Writer) (c deploy.Candidate, err error) {
	err = e.k.around("start", func() error { c, err = e.Engine.Start(ctx, job, log); return err })
	return c, err
}

func (e *killEngine) Switch(ctx context.Context, t deploy.Target, from, to deploy.Number) error {
	return e.k.around("switch", func() error { return e.Engine.Switch(ctx, t, from, to) })
}

func (e *killEngine) Stop(ctx context.Context, t deploy.Target, n deploy.Number, drain time.Duration) error {
	return e.k.around("stop", func() error { return e.Engine.Stop(ctx, t, n, drain) })
}

type killReleases struct {
	pipeline.Releases
	k *killCounter
}

func (r killReleases) MarkCurrent(app deploy.AppName, n deploy.Number) error {
	return r.k.around("mark current", func() error { return r.Releases.MarkCurrent(app, n) })
}

func (r killReleases) Remove(app deploy.AppName, n deploy.Number) error {
	return r.k.around("remove release", func() error { return r.Releases.Remove(app, n) })
}

func (r killReleases) Prune(ctx context.Context, app deploy.AppName, keep []deploy.Number, keepN int, about func(deploy.Number) error) error {
	return r.k.around("prune", func() error { return r.Releases.Prune(ctx, app, keep, keepN, about) })
}

// instances is pipeline.Instances under a name that leaves its method Instances to be seen.
type instances = pipeline.Instances

type killInstances struct {
	instances
	k *killCounter
}

func (i killInstances) Restore(ctx context.Context, t deploy.Target, n deploy.Number) error {
	return i.k.around("restore", func() error { return i.instances.Restore(ctx, t, n) })
}

func (i killInstances) Sweep(ctx context.Context, t deploy.Target, keep ...deploy.Number) error {
	return i.k.around("sweep", func() error { return i.instances.Sweep(ctx, t, keep...) })
}

type killTrees struct {
	pipeline.Trees
	k *killCounter
}

func (t killTrees) Checkout(ctx context.Context, job *deploy.Job) (notes []string, err error) {
	err = t.k.around("checkout", func() error { notes, err = t.Trees.Checkout(ctx, job); return err })
	return notes, err
}

type killWatcher struct {
	pipeline.Watcher
	k *killCounter
}

func (w killWatcher) Watch(ctx context.Context, c deploy.Candidate, m *deploy.Manifest, decide bool, report func(deploy.Measurement)) (r deploy.WatchResult, err error) {
	err = w.k.around("watch", func() error { r, err = w.Watcher.Watch(ctx, c, m, decide, report); return err })
	return r, err
}
