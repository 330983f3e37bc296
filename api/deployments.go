package api

import (
	"context"
	"net/http"
	"strconv"

	"slipway/deploy"
)

func (h handlers) GetQueue(ctx context.Context, _ GetQueueRequestObject) (GetQueueResponseObject, error) {
	queue, err := h.control.Queue(ctx, callerOf(ctx))
	return GetQueue200JSONResponse{Items: each(queue, waitingOf)}, err
}

func (h handlers) ListDeployments(ctx context.Context, r ListDeploymentsRequestObject) (ListDeploymentsResponseObject, error) {
	p := r.Params
	f := deploy.DeploymentFilter{
		App: deploy.AppName(p.App), User: deploy.UserName(p.User), Status: deploy.Status(p.Status), FailedStage: deploy.StageName(p.FailedStage),
		Code: deploy.Code(p.Code), Ref: deploy.RefName(p.Ref), Bypassed: p.Bypassed, Text: p.Text,
		Since: p.Since, Until: p.Until, Before: deploy.Number(p.Before), Limit: p.Limit + 1,
	}
	if p.Revision != "" {
		revision, err := deploy.ParseOIDPrefix(p.Revision)
		if err != nil {
			return nil, deploy.Reject(deploy.CodeUsage, "%v", err)
		}
		f.Revision = revision
	}
	found, err := h.control.Deployments(ctx, callerOf(ctx), f)
	if err != nil {
		return nil, err
	}
	link := ""
	if len(found) > p.Limit {
		found = found[:p.Limit]
		link = nextPage(ctx, found[p.Limit-1].Number.String())
	}
	return deploymentPage{ListDeployments200JSONResponse{Items: each(found, deploymentOf)}, link}, nil
}

// nextPage is the Link header that leads to what comes before the last one of this page (RFC 8288).
func nextPage(ctx context.Context, before string) string {
	next := *requestOf(ctx).URL
	query := next.Query()
	query.Set("before", before)
	next.RawQuery = query.Encode()
	return "<" + next.RequestURI() + `>; rel="next"`
}

func setLink(w http.ResponseWriter, link string) {
	if link != "" {
		w.Header().Set("Link", link)
	}
}

type deploymentPage struct {
	ListDeployments200JSONResponse
	link string
}

func (p deploymentPage) VisitListDeploymentsResponse(w http.ResponseWriter) error {
	setLink(w, p.link)
	return p.ListDeployments200JSONResponse.VisitListDeploymentsResponse(w)
}

func (h handlers) GetDeployment(ctx context.Context, r GetDeploymentRequestObject) (GetDeploymentResponseObject, error) {
	d, stages, err := h.control.Stages(ctx, callerOf(ctx), deploy.Number(r.Number))
	return GetDeployment200JSONResponse{
		Deployment: deploymentOf(d), Stages: each(stages, stageOf), Running: h.control.Running(d.Number),
	}, err
}

func (h handlers) RollBack(ctx context.Context, r RollBackRequestObject) (RollBackResponseObject, error) {
	n, err := h.begin(ctx, r.App, deploy.Again{Kind: deploy.AgainRollback, Of: deploy.Number(r.Body.Of), Reason: r.Body.Reason})
	return RollBack202JSONResponse{Body: Begun{Number: n}, Headers: RollBack202ResponseHeaders{Location: location(n)}}, err
}

func (h handlers) Redeploy(ctx context.Context, r RedeployRequestObject) (RedeployResponseObject, error) {
	n, err := h.begin(ctx, r.App, deploy.Again{Kind: deploy.AgainRedeploy, Of: deploy.Number(r.Body.Of), Reason: r.Body.Reason})
	return Redeploy202JSONResponse{Body: Begun{Number: n}, Headers: Redeploy202ResponseHeaders{Location: location(n)}}, err
}

func (h handlers) begin(ctx context.Context, app string, a deploy.Again) (int64, error) {
	n, err := h.control.BeginAgain(ctx, callerOf(ctx), deploy.AppName(app), a)
	return int64(n), err
}

func location(n int64) string { return "/api/v1/deployments/" + strconv.FormatInt(n, 10) }

func (h handlers) CancelDeployment(ctx context.Context, r CancelDeploymentRequestObject) (CancelDeploymentResponseObject, error) {
	return CancelDeployment202Response{}, h.control.Cancel(ctx, callerOf(ctx), deploy.Number(r.Number), r.Body.Reason)
}

func (h handlers) MarkRegression(ctx context.Context, r MarkRegressionRequestObject) (MarkRegressionResponseObject, error) {
	marked, err := h.control.MarkRegression(ctx, callerOf(ctx), deploy.Number(r.Number), r.Body.Reason, deploy.Number(r.Body.FixedBy))
	return MarkRegression200JSONResponse{
		Deployment: int64(marked.Deployment), Reason: marked.Reason, FixedBy: int64(marked.FixedBy), MarkedAt: utc(marked.MarkedAt),
	}, err
}

func (h handlers) ListCommits(ctx context.Context, r ListCommitsRequestObject) (ListCommitsResponseObject, error) {
	found, err := h.control.Commits(ctx, callerOf(ctx), deploy.Number(r.Number), r.Params.Limit)
	return ListCommits200JSONResponse{Items: each(found.Commits, commitOf), More: found.More}, err
}

// diffLimits bound what one answer compares.
func diffLimits() deploy.DiffLimits { return deploy.DiffLimits{Files: 300, Bytes: 1 << 20} }

func (h handlers) GetDiff(ctx context.Context, r GetDiffRequestObject) (GetDiffResponseObject, error) {
	diff, err := h.control.Diff(ctx, callerOf(ctx), deploy.Number(r.Number), diffLimits())
	return GetDiff200JSONResponse{Items: each(diff.Files, fileChangeOf), More: diff.More}, err
}
