// Package controltest makes a control over real records for tests of what stands before it: the store, the
// audit log, variables and repositories of a folder. What deploys is made up by each test.
//
// It is no part of the server. Start reading at [New].
package controltest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/control"
	"slipway/deploy/store"
	"slipway/deploy/variables"
	"slipway/gitserver/repo"
)

// World is a control with its records. It ends with the test.
type World struct {
	testing.TB
	Layout   deploy.Layout
	Store    *store.Store
	Recorder *audit.Recorder
	Repos    *repo.Store
	Control  *control.Control
	Logger   *slog.Logger // writes nothing
	Stop     func()       // ends what the control does by itself
	Close    func()       // ends everything, so that another world can be made of the same folder
}

// Machine is what deploys, and where releases run.
type Machine interface {
	control.Pipeline
	control.Engine
}

// New makes a control of what is in a data directory, and runs it. change may change what it is wired from.
func New(t testing.TB, l deploy.Layout, m Machine, change ...func(*control.Config)) *World {
	t.Helper()
	w := &World{TB: t, Layout: l, Logger: slog.New(slog.DiscardHandler)}
	log, err := audit.Open(l.Audit(), audit.Config{Logger: w.Logger})
	w.Must(err)
	t.Cleanup(func() { log.Close() })
	w.Store, err = store.Open(t.Context(), l.Database(), w.Logger)
	w.Must(err)
	t.Cleanup(func() { w.Store.Close() })
	w.Recorder, w.Repos = audit.NewRecorder(log, w.Store, w.Logger), repo.New(repo.Config{Layout: l, Logger: w.Logger})
	w.Must(w.Recorder.CatchUp(t.Context()))
	c := control.Config{
		Layout: l, Records: w.Store, Recorder: w.Recorder, Pipeline: m, Engine: m, Variables: variables.New(l),
		Places: places{w}, Refs: w.Repos, Sources: w.Repos, Trail: trail{w}, Mask: masked, Logger: w.Logger,
	}
	for _, do := range change {
		do(&c)
	}
	w.Control = control.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Control.Run(ctx) })
	w.Stop = func() { cancel(); running.Wait() }
	t.Cleanup(w.Stop)
	w.Close = func() {
		w.Stop()
		w.Must(errors.Join(w.Store.Close(), log.Close()))
	}
	return w
}

// Must ends the test if there is an error.
func (w *World) Must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Operator is who may do everything.
func Operator() deploy.Caller {
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorOperator, Name: "operator", Origin: "socket"}, Admin: true}
}

// Record records an event, by the server if nobody else is named, and waits until it can be asked for.
func (w *World) Record(e deploy.Event) {
	w.Helper()
	if e.Actor.Type == "" {
		e.Actor = deploy.ServerActor("test")
	}
	_, err := w.Recorder.Record(w.Context(), e)
	w.Must(err)
	w.Recorder.Wait()
}

// App makes apps.
func (w *World) App(names ...deploy.AppName) {
	w.Helper()
	for _, name := range names {
		_, err := w.Control.CreateApp(w.Context(), Operator(), deploy.NewApp{Name: name})
		w.Must(err)
	}
}

// User makes a user, with grants on apps.
func (w *World) User(name deploy.UserName, role deploy.Role, grants ...deploy.Grant) {
	w.Helper()
	_, err := w.Control.AddUser(w.Context(), Operator(), name, role, nil)
	w.Must(err)
	for _, g := range grants {
		g.User = name
		w.Must(w.Control.Grant(w.Context(), Operator(), g))
	}
}

// Revision is that of every deployment here.
const Revision = deploy.OID("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

// Queued makes a deployment that waits.
func (w *World) Queued(n deploy.Number, app deploy.AppName, by deploy.UserName, subject string) {
	w.Helper()
	w.Record(deploy.Event{Type: deploy.EventDeploymentQueued, App: app, Deployment: n}.WithData(deploy.Deployment{
		Number: n, App: app, Environment: deploy.Production, Ref: "refs/heads/main", New: Revision, QueuedAt: time.Now(),
		Commit: deploy.Commit{Subject: subject, Author: "Alice Meyer"}, Pusher: deploy.Pusher{User: by, Fingerprint: "SHA256:x", IP: "192.0.2.1"},
	}))
}

// Of records what happens to a deployment.
func (w *World) Of(n deploy.Number, app deploy.AppName, events ...deploy.Event) {
	w.Helper()
	for _, e := range events {
		e.App, e.Environment, e.Deployment = app, deploy.Production, n
		w.Record(e)
	}
}

// Accept accepts a deployment that waits.
func (w *World) Accept(n deploy.Number, app deploy.AppName) {
	w.Helper()
	w.Of(n, app,
		deploy.Event{Type: deploy.EventDeploymentStarted}.WithData(deploy.StartedData{}),
		deploy.Event{Type: deploy.EventSwitchIntended}.WithData(deploy.SwitchData{To: n}),
		deploy.Event{Type: deploy.EventAccepted}.WithData(deploy.SwitchData{To: n}),
		deploy.Event{Type: deploy.EventRefMoved})
}

// places are repositories and folders, and no routes.
type places struct{ of *World }

func (p places) Make(ctx context.Context, app deploy.App) error {
	if err := os.MkdirAll(p.of.Layout.App(app.Name), 0o700); err != nil {
		return err
	}
	return p.of.Repos.Create(ctx, app.Name, repo.Options{ObjectFormat: repo.ObjectFormat(app.ObjectFormat), GatedRef: app.GatedRef})
}

func (p places) Remove(ctx context.Context, app deploy.App) error {
	return errors.Join(p.of.Repos.Remove(ctx, app.Name), os.RemoveAll(p.of.Layout.App(app.Name)))
}
func (places) Clear(context.Context, deploy.AppName) error { return nil }
func (places) CheckRef(ref deploy.RefName) error           { return repo.CheckRefName(ref) }

// trail is the audit log.
type trail struct{ of *World }

func (t trail) State() deploy.ChainState {
	head := t.of.Recorder.Head()
	return deploy.ChainState{Sequence: head.Sequence, Hash: head.Hash}
}

func (t trail) Verify(ctx context.Context) (deploy.ChainReport, deploy.Event, error) {
	found, err := audit.Verify(ctx, t.of.Layout.Audit(), t.of.Recorder.Head())
	report := deploy.ChainReport{Files: found.Files, Events: found.Events, Head: deploy.ChainState{Sequence: found.Head.Sequence, Hash: found.Head.Hash}}
	data := deploy.VerifiedData{Events: found.Events, Count: len(found.Findings)}
	e := deploy.Event{Type: deploy.EventAuditVerified, Outcome: deploy.OutcomePass}
	for _, f := range found.Findings {
		e.Outcome = deploy.OutcomeFail
		data.Findings = append(data.Findings, f.String())
		report.Findings = append(report.Findings, deploy.ChainFinding{Kind: string(f.Kind), File: f.File, Line: f.Line, Detail: f.Detail})
	}
	return report, e.WithData(data), err
}

// masked is text without the values.
func masked(values map[string]string, text string) string {
	for _, v := range values {
		text = strings.ReplaceAll(text, v, "***")
	}
	return text
}
