package api

import (
	"context"
	"net/http"
	"strconv"

	"slipway/deploy"
)

func (h handlers) ListEvents(ctx context.Context, r ListEventsRequestObject) (ListEventsResponseObject, error) {
	p := r.Params
	found, err := h.control.Events(ctx, callerOf(ctx), deploy.EventFilter{
		App: deploy.AppName(p.App), Deployment: deploy.Number(p.Deployment), Type: deploy.EventType(p.Type), Actor: p.Actor,
		Since: p.Since, Until: p.Until, Before: uint64(p.Before), Limit: p.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	link := ""
	if len(found) > p.Limit {
		found = found[:p.Limit]
		link = nextPage(ctx, strconv.FormatUint(found[p.Limit-1].Sequence, 10))
	}
	return eventPage{ListEvents200JSONResponse{Items: each(found, eventOf)}, link}, nil
}

type eventPage struct {
	ListEvents200JSONResponse
	link string
}

func (p eventPage) VisitListEventsResponse(w http.ResponseWriter) error {
	setLink(w, p.link)
	return p.ListEvents200JSONResponse.VisitListEventsResponse(w)
}

func headOf(s deploy.ChainState) Head { return Head{Sequence: int64(s.Sequence), Hash: s.Hash} }

func (h handlers) GetAudit(ctx context.Context, _ GetAuditRequestObject) (GetAuditResponseObject, error) {
	who := callerOf(ctx)
	state := h.control.Chain(ctx, who)
	answer := GetAudit200JSONResponse{Head: headOf(state), Behind: state.Behind}
	last, err := h.control.Events(ctx, who, deploy.EventFilter{Type: deploy.EventAuditVerified, Limit: 1})
	if len(last) > 0 {
		answer.LastVerification = eventOf(last[0])
	}
	return answer, err
}

func (h handlers) VerifyAudit(ctx context.Context, _ VerifyAuditRequestObject) (VerifyAuditResponseObject, error) {
	report, err := h.control.VerifyChain(ctx, callerOf(ctx))
	return VerifyAudit200JSONResponse{
		Whole: len(report.Findings) == 0, At: utc(report.At), Files: report.Files, Events: int64(report.Events), Head: headOf(report.Head), More: report.More,
		Findings: each(report.Findings, func(f deploy.ChainFinding) Finding {
			return Finding{Kind: f.Kind, File: f.File, Line: f.Line, Detail: f.Detail}
		}),
	}, err
}
