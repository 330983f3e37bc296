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
	Apps(ctx context.Context, who deploy.Caller) ([]deploy.App, error)
	Standing(ctx context.Context, who deploy.Caller, name deploy.AppName) (deploy.Standing, error)
	Releases(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Release, error)
	Deployments(ctx context.Context, who deploy.Caller, f deploy.DeploymentFilter) ([]deploy.Deployment, error)
	Stages(ctx context.Context, who deploy.Caller, n deploy.Number) (deploy.Deployment, []deploy.StageRecord, error)
}
