package control

import (
	"context"
	"io"

	"slipway/deploy"
)

// Records are what is known of everything.
type Records interface {
	Apps
	People
	History
}

// Apps are the apps, what is granted on them and how they stand.
type Apps interface {
	App(ctx context.Context, name deploy.AppName) (deploy.App, error)
	Apps(ctx context.Context) ([]deploy.App, error)
	AppsVisible(ctx context.Context, user deploy.UserName) ([]deploy.App, error)
	NextAppID(ctx context.Context) (uint32, error)
	Access(ctx context.Context, user deploy.UserName, app deploy.AppName) (deploy.App, deploy.Role, error)
	Grants(ctx context.Context, app deploy.AppName) ([]deploy.Grant, error)
	TargetState(ctx context.Context, t deploy.Target) (deploy.TargetState, error)
	TargetStates(ctx context.Context) ([]deploy.TargetState, error)
	LastAccepted(ctx context.Context, within deploy.Scope) (map[deploy.AppName]deploy.Deployment, error)
	Releases(ctx context.Context, app deploy.AppName) ([]deploy.Release, error)
}

// People are the users, their keys, tokens and sessions.
type People interface {
	User(ctx context.Context, name deploy.UserName) (deploy.User, error)
	Users(ctx context.Context) ([]deploy.User, error)
	UserByKey(ctx context.Context, fingerprint string) (deploy.User, error)
	Keys(ctx context.Context, user deploy.UserName) ([]deploy.Key, error)
	Token(ctx context.Context, id string) (deploy.Token, error)
	Tokens(ctx context.Context) ([]deploy.Token, error)
	Session(ctx context.Context, id string) (deploy.Session, error)
	Sessions(ctx context.Context) ([]deploy.Session, error)
}

// History is what has happened.
type History interface {
	Deployment(ctx context.Context, n deploy.Number) (deploy.Deployment, error)
	Deployments(ctx context.Context, f deploy.DeploymentFilter) ([]deploy.Deployment, error)
	Stages(ctx context.Context, n deploy.Number) ([]deploy.Stage, error)
	StageData(ctx context.Context, n deploy.Number, name deploy.StageName) (deploy.StageData, error)
	Events(ctx context.Context, f deploy.EventFilter) ([]deploy.Event, error)
	Queue(ctx context.Context, within deploy.Scope) ([]deploy.QueueEntry, error)
	Statistics(ctx context.Context, f deploy.StatisticsFilter) (deploy.Statistics, error)
	// Regression fails with deploy.ErrNotFound where nobody has marked the deployment.
	Regression(ctx context.Context, n deploy.Number) (deploy.Regression, error)
}

// Recorder writes events. An error means that what the event announces must not be done.
type Recorder interface {
	Record(ctx context.Context, e deploy.Event) (deploy.Event, error)
}

// Pipeline is the gate.
type Pipeline interface {
	Again(ctx context.Context, r deploy.AgainRequest, progress io.Writer) deploy.Answer
	Cancel(n deploy.Number, who deploy.Actor, reason string) error
	Hold(ctx context.Context, t deploy.Target, do func(context.Context) error) error
	// PutRight makes what serves an app be what the records say, as far as it can.
	PutRight(ctx context.Context, app deploy.App) error
	Queue() []deploy.Waiting
	Running(n deploy.Number) bool
}

// Engine is where releases run.
type Engine interface {
	Serving(ctx context.Context, t deploy.Target) (deploy.Number, error)
	Instances(ctx context.Context, t deploy.Target, n deploy.Number) ([]deploy.Instance, error)
	Inspect(ctx context.Context, i deploy.Instance) (deploy.InstanceState, error)
	Restart(ctx context.Context, t deploy.Target) error
	OneOff(ctx context.Context, t deploy.Target, n deploy.Number, command []string, std Stdio) (OneOffResult, error)
}

// Variables are the apps' own variables.
type Variables interface {
	Read(ctx context.Context, app deploy.AppName) (deploy.Variables, error)
	Change(ctx context.Context, app deploy.AppName, edit func(deploy.Variables) (deploy.Variables, error), record func(context.Context) error) error
	Finish(ctx context.Context, app deploy.AppName, record func(ctx context.Context, before, after deploy.Variables) error) error
}

// Places are the folders, repositories and routes of apps.
type Places interface {
	// Clear removes what an app of that name has left that is none any more.
	Clear(ctx context.Context, name deploy.AppName) error
	// Make makes what a recorded app needs.
	Make(ctx context.Context, app deploy.App) error
	// Remove takes an app out of production and deletes what it had.
	Remove(ctx context.Context, app deploy.App) error
	// CheckRef says why a ref cannot be gated, nil if it can.
	CheckRef(ref deploy.RefName) error
}

// Refs are the refs of the apps' repositories.
type Refs interface {
	Resolve(ctx context.Context, app deploy.AppName, ref deploy.RefName) (deploy.OID, error)
}

// Sources are the contents of the apps' repositories.
type Sources interface {
	Commits(ctx context.Context, app deploy.AppName, from, to deploy.OID, most int) (deploy.History, error)
	Diff(ctx context.Context, app deploy.AppName, from, to deploy.OID, limits deploy.DiffLimits) (deploy.Diff, error)
}

// Trail is the audit log.
type Trail interface {
	State() deploy.ChainState
	// Verify reads all of it. It returns the event that records what was found.
	Verify(ctx context.Context) (deploy.ChainReport, deploy.Event, error)
}
