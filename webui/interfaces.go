package webui

import (
	"context"

	"slipway/deploy"
)

// Sessions tell which browser is whose.
type Sessions interface {
	SignIns
	// SessionCaller returns who is signed in by a cookie's value, or [deploy.ErrNotFound].
	SessionCaller(ctx context.Context, cookie, ip string) (deploy.Caller, deploy.Session, error)
	Sessions(ctx context.Context, who deploy.Caller) ([]deploy.Session, error)
	CloseSession(ctx context.Context, who deploy.Caller, id string) error
}

// SignIns open sessions. What they return with one is its cookie's value, which is kept nowhere.
type SignIns interface {
	OpenByLink(ctx context.Context, secret string, from deploy.Visit) (deploy.Session, string, error)
	OpenByToken(ctx context.Context, secret string, from deploy.Visit) (deploy.Session, string, error)
	SignInFailed(ctx context.Context, secret, ip, origin string) error
}

// Control is what people may ask of a running server, with their rights. Its errors are a
// [*deploy.Rejection] for the reader, or a fault.
type Control interface {
	History
	Production
	Acts
	Trail
	People
	Apps(ctx context.Context, who deploy.Caller) ([]deploy.App, error)
	Standing(ctx context.Context, who deploy.Caller, name deploy.AppName) (deploy.Standing, error)
	Releases(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Release, error)
	Deployments(ctx context.Context, who deploy.Caller, f deploy.DeploymentFilter) ([]deploy.Deployment, error)
	Stages(ctx context.Context, who deploy.Caller, n deploy.Number) (deploy.Deployment, []deploy.StageRecord, error)
}

// Production is how apps stand, and what was deployed.
type Production interface {
	Standings(ctx context.Context, who deploy.Caller) ([]deploy.Standing, error)
	Pending(ctx context.Context, who deploy.Caller) ([]deploy.QueueEntry, error)
	Deployment(ctx context.Context, who deploy.Caller, n deploy.Number, right deploy.Right) (deploy.Deployment, error)
	VariableNames(ctx context.Context, who deploy.Caller, app deploy.AppName) (deploy.Variables, error)
	Statistics(ctx context.Context, who deploy.Caller, f deploy.StatisticsFilter) (deploy.Statistics, error)
}

// Acts are what people do to an app.
type Acts interface {
	BeginAgain(ctx context.Context, who deploy.Caller, app deploy.AppName, a deploy.Again) (deploy.Number, error)
	Freeze(ctx context.Context, who deploy.Caller, app deploy.AppName, reason string) error
	Unfreeze(ctx context.Context, who deploy.Caller, app deploy.AppName, reason string) error
}

// Trail is what was recorded.
type Trail interface {
	Events(ctx context.Context, who deploy.Caller, f deploy.EventFilter) ([]deploy.Event, error)
	Chain(ctx context.Context, who deploy.Caller) deploy.ChainState
	// VerifyChain reads the whole audit log and records what was found.
	VerifyChain(ctx context.Context, who deploy.Caller) (deploy.ChainReport, error)
}

// People are those who may come in, and with what.
type People interface {
	Users(ctx context.Context, who deploy.Caller) ([]deploy.User, error)
	Keys(ctx context.Context, who deploy.Caller, user deploy.UserName) ([]deploy.Key, error)
	Grants(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Grant, error)
	Tokens(ctx context.Context, who deploy.Caller) ([]deploy.Token, error)
	RevokeToken(ctx context.Context, who deploy.Caller, id string) (deploy.Token, error)
}

// Traffic tells what apps got lately.
type Traffic interface {
	Of(app deploy.AppName) deploy.RecentTraffic
}

// Manual is the manual's pages, and the configuration that is in force, without secrets.
type Manual interface {
	Topics() []Topic
	Settings() []Setting
}
