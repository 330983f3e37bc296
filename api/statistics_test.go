package api_test

import (
	"strings"
	"testing"

	"slipway/api"
	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

// rejected makes a deployment that failed in its tests.
func (w *world) rejected(n deploy.Number, app deploy.AppName, reason string) {
	w.Helper()
	w.Queued(n, app, "alice", "x")
	of := func(e deploy.Event) {
		w.Helper()
		e.App, e.Environment, e.Deployment = app, deploy.Production, n
		w.Record(e)
	}
	of(deploy.Event{Type: deploy.EventDeploymentStarted}.WithData(deploy.StartedData{}))
	of(deploy.Event{Type: deploy.EventStageStarted, Stage: "test.unit"})
	of(deploy.Event{Type: deploy.EventStageFinished, Stage: "test.unit", Outcome: deploy.OutcomeFail, Reason: reason})
	of(deploy.Event{Type: deploy.EventRejected, Stage: "test.unit", Reason: reason}.WithData(deploy.Reject(deploy.CodeTest, "%s", reason)))
}

// TestStatistics: they are those of the apps that may be read, in the document's words.
func TestStatistics(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	w.App("blog")
	vera := w.user("vera", deploy.RoleViewer)
	w.Must(w.Control.Grant(t.Context(), controltest.Operator(), deploy.Grant{App: "blog", User: "vera", Role: deploy.RoleViewer}))
	w.deployed(1, "shop", "alice", "x")
	w.rejected(2, "shop", "a zebra in the shop")
	w.rejected(3, "shop", "a zebra in the shop")
	w.deployed(4, "blog", "alice", "x")
	w.Record(deploy.Event{Type: deploy.EventPushRefused, App: "shop"}.WithData(deploy.Reject(deploy.CodeFrozen, "frozen")))
	admin := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	w.want(200, admin, "PUT", "/api/v1/deployments/1/regression", `{"reason":"the cart was empty"}`)

	all := read[api.Statistics](t, w.want(200, admin, "GET", "/api/v1/stats", ""))
	if n := all.Total; n.Deployments != 4 || n.Accepted != 2 || n.GateRejected != 2 || n.Refused != 1 || n.Regressions != 1 {
		t.Errorf("the total is %+v", n)
	}
	if len(all.Weeks) != deploy.DefaultWeeks || len(all.Days) < 7*deploy.DefaultWeeks-6 {
		t.Errorf("%d weeks, %d days", len(all.Weeks), len(all.Days))
	}
	if len(all.Runs) != 1 || all.Runs[0].Length != 2 || len(all.Causes) != 1 || all.Causes[0].Count != 2 || all.Causes[0].Stage != "test.unit" {
		t.Errorf("the runs are %+v, the causes %+v", all.Runs, all.Causes)
	}
	if f := all.ChangeFailureRate; f.Count != 1 || f.Of != 2 || len(all.Regressions) != 1 {
		t.Errorf("the change failure rate is %+v, of %+v", f, all.Regressions)
	}
	if len(all.Stages) != 2 || all.Stages[1].Name != "test.unit" || all.Stages[1].Rejected != (api.Share{Count: 2, Of: 2}) {
		t.Errorf("the stages are %+v", all.Stages)
	}
	shop := read[api.Statistics](t, w.want(200, admin, "GET", "/api/v1/stats?app=shop&weeks=1", ""))
	if shop.App != "shop" || shop.Total.Deployments != 3 || len(shop.Weeks) != 1 {
		t.Errorf("of %q in %d weeks: %+v", shop.App, len(shop.Weeks), shop.Total)
	}
	for name, token := range map[string]string{"a viewer": w.token(vera, deploy.RoleViewer, ""), "a token of one app": w.token(controltest.Operator(), deploy.RoleAdmin, "blog")} {
		body := w.want(200, token, "GET", "/api/v1/stats", "")
		seen := read[api.Statistics](t, body)
		if seen.Total.Deployments != 1 || seen.Total.Refused != 0 || len(seen.Causes) != 0 || strings.Contains(body, "zebra") || strings.Contains(body, "shop") {
			t.Errorf("%s of blog reads %+v and %+v", name, seen.Total, seen.Causes)
		}
	}
}
