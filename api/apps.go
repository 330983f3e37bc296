package api

import (
	"context"

	"slipway/deploy"
)

// handlers are the operations of the document. Each asks the control, and answers in the document's words.
type handlers struct {
	control  Control
	stopping <-chan struct{} // closed when streams have to end
}

func (h handlers) ListApps(ctx context.Context, _ ListAppsRequestObject) (ListAppsResponseObject, error) {
	apps, err := h.control.Apps(ctx, callerOf(ctx))
	return ListApps200JSONResponse{Items: each(apps, appOf)}, err
}

func (h handlers) CreateApp(ctx context.Context, r CreateAppRequestObject) (CreateAppResponseObject, error) {
	app, err := h.control.CreateApp(ctx, callerOf(ctx), deploy.NewApp{
		Name: deploy.AppName(r.Body.Name), Branch: r.Body.Branch, ObjectFormat: string(r.Body.ObjectFormat),
	})
	return CreateApp201JSONResponse(appOf(app)), err
}

func (h handlers) RemoveApp(ctx context.Context, r RemoveAppRequestObject) (RemoveAppResponseObject, error) {
	return RemoveApp204Response{}, h.control.RemoveApp(ctx, callerOf(ctx), deploy.AppName(r.App), r.Params.Confirm)
}

func (h handlers) GetApp(ctx context.Context, r GetAppRequestObject) (GetAppResponseObject, error) {
	standing, err := h.control.Standing(ctx, callerOf(ctx), deploy.AppName(r.App))
	return GetApp200JSONResponse(targetOf(standing)), err
}

func (h handlers) ListTargets(ctx context.Context, _ ListTargetsRequestObject) (ListTargetsResponseObject, error) {
	apps, err := h.control.Apps(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	all := make([]Target, 0, len(apps))
	for _, app := range apps {
		standing, err := h.control.Standing(ctx, callerOf(ctx), app.Name)
		if r, ok := deploy.AsRejection(err); ok && r.Code == deploy.CodeNotFound {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, targetOf(standing))
	}
	return ListTargets200JSONResponse{Items: all}, nil
}

func (h handlers) ListReleases(ctx context.Context, r ListReleasesRequestObject) (ListReleasesResponseObject, error) {
	releases, err := h.control.Releases(ctx, callerOf(ctx), deploy.AppName(r.App))
	return ListReleases200JSONResponse{Items: each(releases, func(r deploy.Release) Release {
		return Release{Number: int64(r.Number), Revision: string(r.Revision), CreatedAt: utc(r.CreatedAt)}
	})}, err
}

func (h handlers) FreezeApp(ctx context.Context, r FreezeAppRequestObject) (FreezeAppResponseObject, error) {
	return FreezeApp204Response{}, h.control.Freeze(ctx, callerOf(ctx), deploy.AppName(r.App), r.Body.Reason)
}

func (h handlers) UnfreezeApp(ctx context.Context, r UnfreezeAppRequestObject) (UnfreezeAppResponseObject, error) {
	return UnfreezeApp204Response{}, h.control.Unfreeze(ctx, callerOf(ctx), deploy.AppName(r.App), r.Params.Reason)
}

func (h handlers) ListVariables(ctx context.Context, r ListVariablesRequestObject) (ListVariablesResponseObject, error) {
	all, err := h.control.VariableNames(ctx, callerOf(ctx), deploy.AppName(r.App))
	return ListVariables200JSONResponse{Items: each(all, func(v deploy.Variable) Variable {
		return Variable{Name: v.Name, Test: v.Test, Deploy: v.Deploy, SetAt: utc(v.SetAt), SetBy: v.SetBy}
	})}, err
}

func (h handlers) SetVariables(ctx context.Context, r SetVariablesRequestObject) (SetVariablesResponseObject, error) {
	given := each(r.Body.Items, func(v NewVariable) deploy.Variable {
		return deploy.Variable{Name: v.Name, Value: v.Value, Test: v.Test, Deploy: v.Deploy}
	})
	_, err := h.control.SetVariables(ctx, callerOf(ctx), deploy.AppName(r.App), given)
	return SetVariables204Response{}, err
}

func (h handlers) UnsetVariable(ctx context.Context, r UnsetVariableRequestObject) (UnsetVariableResponseObject, error) {
	return UnsetVariable204Response{}, h.control.UnsetVariables(ctx, callerOf(ctx), deploy.AppName(r.App), r.Name)
}
