package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/store"
)

func numbers(all []deploy.Deployment) []deploy.Number {
	n := []deploy.Number{}
	for _, d := range all {
		n = append(n, d.Number)
	}
	return n
}

func TestDeploymentsFilter(t *testing.T) {
	h := company(t)
	ctx := t.Context()
	h.accept(1, 0, oid("0"), oid("a"))
	h.add(queued(2, oid("b")))
	rejected := of(2, deploy.EventRejected).WithData(deploy.Reject(deploy.CodeTest, `test set "unit_1" failed at 100%%`))
	rejected.Stage = "test.unit_1"
	h.add(rejected)
	forced := queued(3, oid("c"))
	h.add(forced)
	h.add(of(3, deploy.EventDeploymentStarted).WithData(deploy.StartedData{Previous: 1, Bypass: &deploy.Bypass{Reason: "now", Forced: true}}))
	blog := of(4, deploy.EventDeploymentQueued)
	blog.App, blog.At = "blog", noon.Add(24*time.Hour)
	h.add(blog.WithData(deploy.Deployment{
		Number: 4, App: "blog", Ref: "refs/heads/trunk", New: oid("d"), Pusher: deploy.Pusher{User: "bob", Admin: true},
		Commit: deploy.Commit{Subject: "ÄNDERUNG"}}))

	h.add(userCreated("carol", deploy.RoleDeveloper))
	h.add(granted("shop", "carol", deploy.RoleViewer))
	h.add(granted("blog", "carol", deploy.RoleViewer))

	for name, test := range map[string]struct {
		f    deploy.DeploymentFilter
		want []deploy.Number
	}{
		"everything":          {deploy.DeploymentFilter{}, []deploy.Number{4, 3, 2, 1}},
		"an app":              {deploy.DeploymentFilter{App: "shop"}, []deploy.Number{3, 2, 1}},
		"no such app":         {deploy.DeploymentFilter{App: "none"}, []deploy.Number{}},
		"a pusher":            {deploy.DeploymentFilter{User: "bob"}, []deploy.Number{4}},
		"a status":            {deploy.DeploymentFilter{Status: deploy.StatusAccepted}, []deploy.Number{1}},
		"a failed stage":      {deploy.DeploymentFilter{FailedStage: "test.unit_1"}, []deploy.Number{2}},
		"a code":              {deploy.DeploymentFilter{Code: deploy.CodeTest}, []deploy.Number{2}},
		"a revision":          {deploy.DeploymentFilter{Revision: oid("c")}, []deploy.Number{3}},
		"a ref":               {deploy.DeploymentFilter{Ref: "refs/heads/trunk"}, []deploy.Number{4}},
		"bypasses":            {deploy.DeploymentFilter{Bypassed: true}, []deploy.Number{3}},
		"a reason":            {deploy.DeploymentFilter{Text: "UNIT_1"}, []deploy.Number{2}},
		"a subject":           {deploy.DeploymentFilter{Text: "cart"}, []deploy.Number{3, 2, 1}},
		"no wildcard":         {deploy.DeploymentFilter{Text: "unit%ailed"}, []deploy.Number{}},
		"words anywhere":      {deploy.DeploymentFilter{Text: "failed set"}, []deploy.Number{2}},
		"only punctuation":    {deploy.DeploymentFilter{Text: "%"}, []deploy.Number{}},
		"a revision's 7":      {deploy.DeploymentFilter{Revision: oid("c")[:7]}, []deploy.Number{3}},
		"no revision":         {deploy.DeploymentFilter{Revision: "ccccccd"}, []deploy.Number{}},
		"the page before":     {deploy.DeploymentFilter{Limit: 2, After: 1}, []deploy.Number{3, 2}},
		"before in two":       {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "carol"}, Limit: 2, After: 2}, []deploy.Number{4, 3}},
		"a token's app":       {deploy.DeploymentFilter{VisibleTo: deploy.Scope{App: "blog"}}, []deploy.Number{4}},
		"a token and a user":  {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "carol", App: "shop"}}, []deploy.Number{3, 2, 1}},
		"a token for nothing": {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "alice", App: "blog"}}, []deploy.Number{}},
		"a percent sign":      {deploy.DeploymentFilter{Text: "100%"}, []deploy.Number{2}},
		"an underscore":       {deploy.DeploymentFilter{Text: "u_it"}, []deploy.Number{}},
		"an umlaut":           {deploy.DeploymentFilter{Text: "Änderung"}, []deploy.Number{4}},
		"since":               {deploy.DeploymentFilter{Since: noon.Add(time.Hour)}, []deploy.Number{4}},
		"until":               {deploy.DeploymentFilter{Until: noon.Add(time.Hour)}, []deploy.Number{3, 2, 1}},
		"a page":              {deploy.DeploymentFilter{Limit: 2}, []deploy.Number{4, 3}},
		"the next page":       {deploy.DeploymentFilter{Limit: 2, Before: 3}, []deploy.Number{2, 1}},
		"several":             {deploy.DeploymentFilter{App: "shop", Status: deploy.StatusRejected, User: "alice", Code: deploy.CodeTest}, []deploy.Number{2}},
		"seen by a user":      {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "alice"}}, []deploy.Number{3, 2, 1}},
		"seen by nobody":      {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "nobody"}}, []deploy.Number{}},
		"seen in two":         {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "carol"}, Limit: 3}, []deploy.Number{4, 3, 2}},
		"two, filtered":       {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "carol"}, Before: 4, User: "alice", Text: "cart"}, []deploy.Number{3, 2, 1}},
		"one of the two":      {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "carol"}, App: "blog"}, []deploy.Number{4}},
		"another's app":       {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "alice"}, App: "blog"}, []deploy.Number{}},
		"seen by viewers":     {deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "victor"}, Limit: 1}, []deploy.Number{4}},
	} {
		same(t, name, numbers(got[[]deploy.Deployment](t)(h.store.Deployments(ctx, test.f))), test.want)
	}
	third := got[deploy.Deployment](t)(h.store.Deployment(ctx, 3))
	same(t, "the bypass", third.Bypass, &deploy.Bypass{Reason: "now", Forced: true})
	same(t, "the last number", got[deploy.Number](t)(h.store.LastNumber(ctx)), 4)
	if _, err := h.store.Deployment(ctx, 9); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("no such deployment: %v", err)
	}
}

func TestUnfinished(t *testing.T) {
	h := company(t)
	ends := []deploy.EventType{deploy.EventRejected, deploy.EventCanceled, deploy.EventInterrupted, deploy.EventErrored}
	for i, end := range ends {
		n := deploy.Number(i + 1)
		h.add(queued(n, oid("a")))
		h.add(of(n, end))
	}
	h.accept(5, 0, oid("0"), oid("a"))
	h.add(queued(6, oid("b")))
	h.add(queued(7, oid("b")))
	h.add(started(7, 5, oid("a")))
	h.add(queued(8, oid("b")))
	h.add(accepted(8, 5, oid("a"), oid("b")))
	same(t, "unfinished", numbers(got[[]deploy.Deployment](t)(h.store.Unfinished(t.Context()))), []deploy.Number{6, 7, 8})
}

// TestAnEndIsAnEnd: no event makes a deployment that has ended anything else.
func TestAnEndIsAnEnd(t *testing.T) {
	h := company(t)
	h.accept(1, 0, oid("0"), oid("a"))
	h.add(queued(2, oid("b")))
	h.add(of(2, deploy.EventCanceled))
	for _, n := range []deploy.Number{1, 2} {
		want := got[deploy.Deployment](t)(h.store.Deployment(t.Context(), n))
		for _, late := range []deploy.EventType{
			deploy.EventRejected, deploy.EventErrored, deploy.EventInterrupted, deploy.EventSwitchIntended,
		} {
			h.add(of(n, late))
		}
		h.add(started(n, 0, oid("f")))
		h.add(accepted(n, 0, oid("0"), oid("f")))
		h.add(of(n, deploy.EventRollbackFailed))
		h.add(of(n, deploy.EventRefMoved))
		same(t, "the deployment", got[deploy.Deployment](t)(h.store.Deployment(t.Context(), n)), want)
		same(t, "the trace", got[store.Rollback](t)(h.store.Rollback(t.Context(), n)).State, store.RollbackFailed)
	}
	same(t, "unfit events", got[store.Counts](t)(h.store.Counts(t.Context())).Unfit, 6+6+1)
	same(t, "the target", got[deploy.TargetState](t)(h.store.TargetState(t.Context(), deploy.Target{App: "shop"})).Serving, 1)
}

func TestTargetsAndReleases(t *testing.T) {
	h := company(t)
	s, ctx := h.store, t.Context()
	h.accept(1, 0, oid("0"), oid("a"))
	h.accept(2, 1, oid("a"), oid("b"))
	h.accept(5, 2, oid("b"), oid("c"))
	shop := deploy.Target{App: "shop", Environment: deploy.Production}
	want := deploy.TargetState{Target: shop, Serving: 5, Revision: oid("c"), Previous: 2}
	same(t, "the target", got[deploy.TargetState](t)(s.TargetState(ctx, deploy.Target{App: "shop"})), want)
	frozen := of(0, deploy.EventTargetFrozen)
	frozen.Environment = ""
	want.FrozenAt, want.Frozen = h.add(frozen), "no reason given"
	same(t, "all targets", got[[]deploy.TargetState](t)(s.TargetStates(ctx)), []deploy.TargetState{want})
	h.add(of(0, deploy.EventTargetUnfrozen))
	want.FrozenAt, want.Frozen = time.Time{}, ""
	same(t, "unfrozen", got[deploy.TargetState](t)(s.TargetState(ctx, shop)), want)
	none := deploy.Target{App: "blog", Environment: "staging"}
	same(t, "an untouched target", got[deploy.TargetState](t)(s.TargetState(ctx, none)), deploy.TargetState{Target: none})

	h.add(of(1, deploy.EventReleasePruned))
	var releases []deploy.Number
	for _, r := range got[[]deploy.Release](t)(s.Releases(ctx, "shop")) {
		releases = append(releases, r.Number)
	}
	same(t, "releases", releases, []deploy.Number{5, 2})
}

// TestStagesEndWithTheirDeployment: none is left running when the deployment's end came first.
func TestStagesEndWithTheirDeployment(t *testing.T) {
	h := company(t)
	for i, test := range []struct {
		end        deploy.EventType
		unit, lint deploy.Outcome
	}{
		{deploy.EventRejected, deploy.OutcomeFail, deploy.OutcomeCanceled},
		{deploy.EventCanceled, deploy.OutcomeCanceled, deploy.OutcomeCanceled},
		{deploy.EventErrored, deploy.OutcomeFault, deploy.OutcomeFault},
	} {
		n := deploy.Number(i + 1)
		h.add(queued(n, oid("a")))
		for _, name := range []deploy.StageName{"build", "test.unit", "test.lint"} {
			e := of(n, deploy.EventStageStarted)
			e.Stage = name
			h.add(e)
		}
		done := of(n, deploy.EventStageFinished)
		done.Stage, done.Outcome, done.Reason = "build", deploy.OutcomePass, "fine"
		h.add(done)
		end := of(n, test.end)
		end.Stage = "test.unit"
		h.add(end)
		for j, s := range got[[]deploy.Stage](t)(h.store.Stages(t.Context(), n)) {
			want := []deploy.Outcome{deploy.OutcomePass, test.unit, test.lint}[j]
			if s.Outcome != want || s.FinishedAt.IsZero() {
				t.Errorf("%s: stage %s ended with %q at %v, want %q", test.end, s.Name, s.Outcome, s.FinishedAt, want)
			}
		}
	}
}

func TestStageData(t *testing.T) {
	h := company(t)
	h.add(queued(1, oid("a")))
	want := deploy.StageData{Log: "monitor.log", Size: 12, SHA256: "ab", Checks: []deploy.Check{
		{Name: "probe", Outcome: deploy.OutcomeNoData, Detail: "no request yet"}}}
	e := of(1, deploy.EventStageFinished).WithData(want)
	e.Stage, e.Outcome, e.Reason = deploy.StageMonitor, deploy.OutcomeFail, "too many errors"
	when := h.add(e)
	same(t, "data", got[deploy.StageData](t)(h.store.StageData(t.Context(), 1, deploy.StageMonitor)), want)
	same(t, "a stage whose start is not known", got[[]deploy.Stage](t)(h.store.Stages(t.Context(), 1)), []deploy.Stage{{
		Deployment: 1, Name: "monitor", Outcome: deploy.OutcomeFail, Reason: "too many errors", StartedAt: when, FinishedAt: when}})
	if _, err := h.store.StageData(t.Context(), 1, "build"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("no such stage: %v", err)
	}
}

func TestEvents(t *testing.T) {
	h := newHistory(t)
	for _, e := range eventful() {
		h.add(e)
	}
	newest := make([]deploy.Event, 0, len(h.events))
	for i := len(h.events) - 1; i >= 0; i-- {
		newest = append(newest, h.events[i])
	}
	ctx := t.Context()
	same(t, "all, as they were recorded", got[[]deploy.Event](t)(h.store.Events(ctx, deploy.EventFilter{Limit: 1000})), newest)
	for name, test := range map[string]struct {
		f    deploy.EventFilter
		want int
	}{
		"of an app":        {deploy.EventFilter{App: "blog"}, 4},
		"of a deployment":  {deploy.EventFilter{Deployment: 2}, 4},
		"of a type":        {deploy.EventFilter{Type: deploy.EventUserCreated}, 3},
		"by an actor":      {deploy.EventFilter{Actor: "slipway", Limit: 3}, 3},
		"older than":       {deploy.EventFilter{Before: 3}, 2},
		"of all of these":  {deploy.EventFilter{App: "shop", Deployment: 7, Type: deploy.EventAccepted, Actor: "slipway", Before: 1000}, 1},
		"of another world": {deploy.EventFilter{App: "nowhere"}, 0},
	} {
		same(t, "events "+name, len(got[[]deploy.Event](t)(h.store.Events(ctx, test.f))), test.want)
	}
}

// TestOddData: events whose data is missing, foreign, or full of quotes do no harm.
func TestOddData(t *testing.T) {
	h := company(t)
	for _, kind := range []deploy.EventType{
		deploy.EventUserCreated, deploy.EventUserRemoved, deploy.EventKeyAdded, deploy.EventKeyRemoved, deploy.EventAppCreated,
		deploy.EventAppRemoved, deploy.EventGrantSet, deploy.EventDeploymentQueued, deploy.EventDeploymentStarted,
		deploy.EventStageStarted, deploy.EventStageFinished, deploy.EventSwitchIntended, deploy.EventAccepted, deploy.EventRefMoved,
		deploy.EventRejected, deploy.EventTargetFrozen, deploy.EventReleasePruned,
	} {
		for _, data := range []string{"", "7", "{}", `{"number":-1,"app":"'; DROP TABLE users; --"}`} {
			h.add(deploy.Event{Type: kind, Data: []byte(data)})
		}
	}
	h.accept(1, 0, oid("0"), oid("a"))
	reason := "'; DROP TABLE events; -- \"\\ \u2028 \U0001F6A2"
	e := of(2, deploy.EventRejected)
	e.Reason = reason
	h.add(queued(2, oid("b")))
	h.add(e)
	same(t, "the reason", got[deploy.Deployment](t)(h.store.Deployment(t.Context(), 2)).Reason, reason)
	same(t, "users", len(got[[]deploy.User](t)(h.store.Users(t.Context()))), 3)
}

func TestTimesAreKept(t *testing.T) {
	h := company(t)
	for i, want := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)} {
		n := deploy.Number(i + 1)
		h.add(of(n, deploy.EventDeploymentQueued).WithData(deploy.Deployment{Number: n, App: "shop", Commit: deploy.Commit{AuthoredAt: want}}))
		same(t, fmt.Sprint(want), got[deploy.Deployment](t)(h.store.Deployment(t.Context(), n)).Commit.AuthoredAt, want)
	}
}
