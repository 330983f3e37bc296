package control_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/control"
	"slipway/deploy/control/controltest"
)

// world is a control over real records, and nothing that runs.
type world struct {
	*controltest.World
	rest *rest
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{rest: &rest{}}
	w.World = controltest.New(t, deploy.Layout(t.TempDir()), w.rest, func(c *control.Config) { c.Places, c.Refs, c.Sources = w.rest, w.rest, w.rest })
	return w
}

// rest is all that the control does not keep itself: it says yes.
type rest struct {
	controltest.Idle
	wrong    error // why nothing can be put right
	canceled []deploy.Number
}

func (r *rest) Cancel(n deploy.Number, _ deploy.Actor, _ string) error {
	r.canceled = append(r.canceled, n)
	return nil
}

func (r *rest) PutRight(context.Context, deploy.App) error { return r.wrong }
func (r *rest) Queue() []deploy.Waiting {
	return []deploy.Waiting{{Number: 3, Target: deploy.Target{App: "shop"}, User: "dora"}, {Number: 4, Target: deploy.Target{App: "blog"}, User: "dora"}}
}
func (r *rest) Clear(context.Context, deploy.AppName) error { return nil }
func (r *rest) Make(context.Context, deploy.App) error      { return nil }
func (r *rest) Remove(context.Context, deploy.App) error    { return nil }
func (r *rest) CheckRef(deploy.RefName) error               { return nil }
func (r *rest) Resolve(context.Context, deploy.AppName, deploy.RefName) (deploy.OID, error) {
	return controltest.Revision, nil
}

func (r *rest) Commits(context.Context, deploy.AppName, deploy.OID, deploy.OID, int) (deploy.History, error) {
	return deploy.History{}, nil
}

func (r *rest) Diff(context.Context, deploy.AppName, deploy.OID, deploy.OID, deploy.DiffLimits) (deploy.Diff, error) {
	return deploy.Diff{}, nil
}

// person is a user who has come by key.
func (w *world) person(name deploy.UserName, role deploy.Role, grants ...deploy.Grant) deploy.Caller {
	w.Helper()
	w.User(name, role, grants...)
	key := deploy.Pusher{User: name, Fingerprint: "SHA256:" + string(name), IP: "192.0.2.1"}
	return deploy.Caller{Actor: key.Actor(), User: name, Admin: role == deploy.RoleAdmin, Key: key}
}

// with is the caller who comes with a token of who.
func (w *world) with(who deploy.Caller, limit deploy.Limit) deploy.Caller {
	w.Helper()
	_, secret, err := w.Control.CreateToken(w.Context(), who, deploy.NewToken{Name: "a token", Limit: limit, Expires: time.Hour})
	w.Must(err)
	caller, _, err := w.Control.CallerByToken(w.Context(), secret, "192.0.2.2", "api")
	w.Must(err)
	return caller
}

// apps makes shop and blog, with an accepted deployment each: 1 and 2. That of shop was deployed by dora.
func (w *world) apps() {
	w.Helper()
	w.App("shop", "blog")
	for n, app := range map[deploy.Number]deploy.AppName{1: "shop", 2: "blog"} {
		w.Queued(n, app, "dora", "the words of "+string(app))
		w.Of(n, app,
			deploy.Event{Type: deploy.EventDeploymentStarted}.WithData(deploy.StartedData{}),
			deploy.Event{Type: deploy.EventStageStarted, Stage: deploy.StageBuild},
			deploy.Event{Type: deploy.EventStageFinished, Stage: deploy.StageBuild, Outcome: deploy.OutcomePass},
			deploy.Event{Type: deploy.EventAccepted, New: controltest.Revision}.WithData(deploy.SwitchData{To: n}),
			deploy.Event{Type: deploy.EventRefMoved, New: controltest.Revision})
		w.Must(os.MkdirAll(w.Layout.Deployment(n), 0o700))
		w.Must(os.WriteFile(filepath.Join(w.Layout.Deployment(n), "build.log"), []byte("built\n"), 0o600))
	}
	w.Must(os.MkdirAll(w.Layout.App("shop"), 0o700))
}

// since lists the events that were recorded after a sequence.
func (w *world) since(sequence uint64) []deploy.Event {
	w.Helper()
	all, err := w.Store.Events(w.Context(), deploy.EventFilter{After: sequence, Limit: 1000})
	w.Must(err)
	return all
}
