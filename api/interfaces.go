package api

import (
	"context"

	"slipway/deploy"
)

// Control is what people may ask of a running server, with their rights. Its errors are a
// [*deploy.Rejection] for the caller to read, or a fault.
type Control interface {
	Callers
	Apps
	Deployments
	Sources
	Trail
	People
	Tokens
}

// Callers tell who comes with a token.
type Callers interface {
	CallerByToken(ctx context.Context, secret, ip, origin string) (deploy.Caller, deploy.Token, error)
	SignInFailed(ctx context.Context, secret, ip, origin string) error
}

// Apps are the apps and their production.
type Apps interface {
	Apps(ctx context.Context, who deploy.Caller) ([]deploy.App, error)
	CreateApp(ctx context.Context, who deploy.Caller, n deploy.NewApp) (deploy.App, error)
	RemoveApp(ctx context.Context, who deploy.Caller, name deploy.AppName, confirm string) error
	Standing(ctx context.Context, who deploy.Caller, name deploy.AppName) (deploy.Standing, error)
	Releases(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Release, error)
	Freeze(ctx context.Context, who deploy.Caller, app deploy.AppName, reason string) error
	Unfreeze(ctx context.Context, who deploy.Caller, app deploy.AppName, reason string) error
	VariableNames(ctx context.Context, who deploy.Caller, app deploy.AppName) (deploy.Variables, error)
	SetVariables(ctx context.Context, who deploy.Caller, app deploy.AppName, given deploy.Variables) (deploy.Variables, error)
	UnsetVariables(ctx context.Context, who deploy.Caller, app deploy.AppName, names ...string) error
}

// Deployments are what was and is deployed.
type Deployments interface {
	Queue(ctx context.Context, who deploy.Caller) ([]deploy.Waiting, error)
	Deployments(ctx context.Context, who deploy.Caller, f deploy.DeploymentFilter) ([]deploy.Deployment, error)
	Stages(ctx context.Context, who deploy.Caller, n deploy.Number) (deploy.Deployment, []deploy.StageRecord, error)
	Running(n deploy.Number) bool
	BeginAgain(ctx context.Context, who deploy.Caller, app deploy.AppName, a deploy.Again) (deploy.Number, error)
	Cancel(ctx context.Context, who deploy.Caller, n deploy.Number, reason string) error
	MarkRegression(ctx context.Context, who deploy.Caller, n deploy.Number, reason string, fixedBy deploy.Number) (deploy.Regression, error)
	Statistics(ctx context.Context, who deploy.Caller, f deploy.StatisticsFilter) (deploy.Statistics, error)
	LogPath(ctx context.Context, who deploy.Caller, n deploy.Number, name string) (string, error)
	MeasurementsPath(ctx context.Context, who deploy.Caller, n deploy.Number) (string, error)
	// Follow hands a log on as it grows, in whole lines, each piece with the offset after it.
	Follow(ctx context.Context, who deploy.Caller, n deploy.Number, name string, from int64, send func(text []byte, next int64) error) error
}

// Sources are the contents of deployments.
type Sources interface {
	Commits(ctx context.Context, who deploy.Caller, n deploy.Number, most int) (deploy.History, error)
	Diff(ctx context.Context, who deploy.Caller, n deploy.Number, limits deploy.DiffLimits) (deploy.Diff, error)
}

// Trail is what was recorded.
type Trail interface {
	Events(ctx context.Context, who deploy.Caller, f deploy.EventFilter) ([]deploy.Event, error)
	Chain(ctx context.Context, who deploy.Caller) deploy.ChainState
	VerifyChain(ctx context.Context, who deploy.Caller) (deploy.ChainReport, error)
}

// People are the users, their keys and what they were granted.
type People interface {
	Users(ctx context.Context, who deploy.Caller) ([]deploy.User, error)
	User(ctx context.Context, who deploy.Caller, name deploy.UserName) (deploy.User, error)
	AddUser(ctx context.Context, who deploy.Caller, name deploy.UserName, role deploy.Role, lines []byte) ([]deploy.Key, error)
	RemoveUser(ctx context.Context, who deploy.Caller, name deploy.UserName) error
	Keys(ctx context.Context, who deploy.Caller, user deploy.UserName) ([]deploy.Key, error)
	AddKeys(ctx context.Context, who deploy.Caller, user deploy.UserName, lines []byte) ([]deploy.Key, error)
	RemoveKey(ctx context.Context, who deploy.Caller, user deploy.UserName, fingerprint string) error
	Grants(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Grant, error)
	Grant(ctx context.Context, who deploy.Caller, g deploy.Grant) error
}

// Tokens are the secrets of programs.
type Tokens interface {
	Tokens(ctx context.Context, who deploy.Caller) ([]deploy.Token, error)
	CreateToken(ctx context.Context, who deploy.Caller, n deploy.NewToken) (deploy.Token, string, error)
	RevokeToken(ctx context.Context, who deploy.Caller, id string) (deploy.Token, error)
}
