package webui

import (
	"context"

	"slipway/deploy"
)

// Control is what people may ask of a running server, with their rights. Its errors are a
// [*deploy.Rejection] for the reader, or a fault.
type Control interface {
	Apps(ctx context.Context, who deploy.Caller) ([]deploy.App, error)
	Standing(ctx context.Context, who deploy.Caller, name deploy.AppName) (deploy.Standing, error)
	Releases(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]deploy.Release, error)
	Deployments(ctx context.Context, who deploy.Caller, f deploy.DeploymentFilter) ([]deploy.Deployment, error)
	Stages(ctx context.Context, who deploy.Caller, n deploy.Number) (deploy.Deployment, []deploy.StageRecord, error)
}
