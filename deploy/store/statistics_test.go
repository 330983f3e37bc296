package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway/deploy"
)

// monday is where the tests' weeks begin; noon is a Sunday.
var monday = time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)

// past plays deployments at given times.
type past struct {
	*history
	now time.Time
}

func (p *past) at(n deploy.Number, app deploy.AppName, t deploy.EventType, after time.Duration, data any) deploy.Event {
	p.t.Helper()
	p.now = p.now.Add(after)
	e := of(n, t)
	e.At, e.App = p.now, app
	if data != nil {
		e = e.WithData(data)
	}
	return e
}

// begin queues a deployment whose commit is an hour old, and starts it ten seconds later.
func (p *past) begin(n deploy.Number, app deploy.AppName, previous deploy.Number, again *deploy.Again) {
	p.t.Helper()
	p.add(p.at(n, app, deploy.EventDeploymentQueued, 0, deploy.Deployment{
		Number: n, App: app, New: oid("a"), QueuedAt: p.now, Again: again, Commit: deploy.Commit{AuthoredAt: p.now.Add(-time.Hour)},
	}))
	p.add(p.at(n, app, deploy.EventDeploymentStarted, 10*time.Second, deploy.StartedData{Previous: previous}))
}

func (p *past) accept(n deploy.Number, app deploy.AppName, previous deploy.Number, again *deploy.Again) {
	p.t.Helper()
	p.begin(n, app, previous, again)
	stage := p.at(n, app, deploy.EventStageStarted, 0, nil)
	stage.Stage = deploy.StageBuild
	p.add(stage)
	stage = p.at(n, app, deploy.EventStageFinished, 20*time.Second, nil)
	stage.Stage, stage.Outcome = deploy.StageBuild, deploy.OutcomePass
	p.add(stage)
	p.add(p.at(n, app, deploy.EventSwitchIntended, 0, nil))
	p.add(p.at(n, app, deploy.EventAccepted, 30*time.Second, deploy.SwitchData{From: previous}))
}

// reject ends a deployment at the gate, or after its switch.
func (p *past) reject(n deploy.Number, app deploy.AppName, stage deploy.StageName, r deploy.Rejection) {
	p.t.Helper()
	p.begin(n, app, 0, nil)
	if stage == deploy.StageMonitor {
		p.add(p.at(n, app, deploy.EventSwitchIntended, 0, nil))
		p.add(p.at(n, app, deploy.EventRollbackIntended, 4*time.Second, nil))
		p.add(p.at(n, app, deploy.EventRollbackDone, time.Second, nil))
	}
	e := p.at(n, app, deploy.EventRejected, 5*time.Second, r)
	e.Stage = stage
	p.add(e)
}

func (p *past) mark(n deploy.Number, app deploy.AppName, r deploy.Regression) {
	p.t.Helper()
	p.add(p.at(n, app, deploy.EventRegressionMarked, time.Second, r))
}

func unitFailed(line string) deploy.Rejection {
	return deploy.Rejection{Code: deploy.CodeTest, Message: "test set \"unit\" failed (exit status 1)", Tail: []string{line}}
}

// threeWeeks is a history with something of everything.
func threeWeeks(t *testing.T) *past {
	t.Helper()
	p := &past{history: newHistory(t), now: monday.AddDate(0, 0, -7)}
	p.add(appCreated("shop", 1))
	p.add(appCreated("blog", 2))
	day := func(n int) { p.now = monday.AddDate(0, 0, n).Add(time.Duration(len(p.events)) * time.Second) }
	day(-15) // before the span
	p.accept(1, "shop", 0, nil)
	day(-7) // the first of two weeks
	p.accept(2, "shop", 1, nil)
	p.accept(3, "blog", 0, nil)
	p.reject(4, "shop", "test.unit", unitFailed("--- FAIL: TestTotal (0.01s)"))
	p.reject(5, "shop", "test.unit", unitFailed("--- FAIL: TestTotal (0.02s)"))
	p.reject(6, "blog", "test.unit", unitFailed("--- FAIL: TestTotal (0.03s)"))
	day(-6)
	p.reject(7, "shop", deploy.StageMonitor, deploy.Rejection{Code: deploy.CodeMonitor, Message: "5.2% of 100 requests answered 5xx"})
	p.accept(8, "shop", 2, nil)
	p.mark(8, "shop", deploy.Regression{Reason: "no tax", FixedBy: 9})
	day(0) // the second week
	p.accept(9, "shop", 8, nil)
	p.accept(10, "shop", 9, &deploy.Again{Kind: deploy.AgainRollback, Of: 8})
	p.begin(11, "shop", 8, nil)
	p.add(p.at(11, "shop", deploy.EventErrored, time.Second, deploy.Rejection{Code: deploy.CodeUnavailable, Message: "internal error, deployment 11"}))
	p.begin(12, "shop", 8, nil)
	p.add(p.at(12, "shop", deploy.EventCanceled, time.Second, nil))
	p.begin(13, "shop", 8, nil)
	p.add(p.at(13, "shop", deploy.EventInterrupted, time.Second, nil))
	p.accept(14, "shop", 8, &deploy.Again{Kind: deploy.AgainRedeploy, Of: 2})
	p.mark(14, "shop", deploy.Regression{Reason: "slow"})
	refused := p.at(0, "shop", deploy.EventPushRefused, 0, nil)
	refused.Deployment = 0
	p.add(refused)
	p.begin(15, "blog", 3, nil)
	return p
}

func TestStatistics(t *testing.T) {
	p := threeWeeks(t)
	now := monday.AddDate(0, 0, 2).Add(12 * time.Hour)
	s := got[deploy.Statistics](t)(p.store.Statistics(t.Context(), deploy.StatisticsFilter{Weeks: 2, Until: now}))
	same(t, "the span", []time.Time{s.From, s.Until}, []time.Time{monday.AddDate(0, 0, -7), now})
	same(t, "days", len(s.Days), 10)
	first := deploy.Tally{Deployments: 7, Accepted: 3, GateRejected: 3, RolledBack: 1, Regressions: 1}
	second := deploy.Tally{Deployments: 6, Accepted: 2, Canceled: 1, Interrupted: 1, Errored: 1, Running: 1, Redeploys: 1, Regressions: 1, RollBacks: 1, Refused: 1}
	same(t, "weeks", s.Weeks, []deploy.Period{{Start: s.From, Tally: first}, {Start: monday, Tally: second}})
	same(t, "an empty day", s.Days[2], deploy.Period{Start: s.From.AddDate(0, 0, 2)})
	same(t, "Tuesday", s.Days[1].Tally, deploy.Tally{Deployments: 2, Accepted: 1, RolledBack: 1, Regressions: 1})
	same(t, "all", s.Total, deploy.Tally{Deployments: 13, Accepted: 5, GateRejected: 3, RolledBack: 1, Canceled: 1, Interrupted: 1,
		Errored: 1, Running: 1, Redeploys: 1, Regressions: 2, RollBacks: 1, Refused: 1})
	same(t, "deployments a day", s.DeploymentFrequency, 5/9.5)
	// 7 was rolled back, 8 and 14 are regressions, 9 was undone by hand.
	same(t, "change failure rate", s.ChangeFailureRate, deploy.Share{Count: 4, Of: 6})
	same(t, "unrecovered", s.Unrecovered, 1) // 14
	same(t, "failure rate", s.FailureRate, deploy.Share{Count: 4, Of: 9})
	// Of 7 within 5 s, of 9 by 10 after its own watch, and of 8 by 9, days later.
	same(t, "recoveries", s.FailedDeploymentRecoveryTime.Count, 3)
	same(t, "the median recovery", s.FailedDeploymentRecoveryTime.P50, 90*time.Second)
	if max := s.FailedDeploymentRecoveryTime.Max; max < 5*24*time.Hour || max > 7*24*time.Hour {
		t.Errorf("the longest recovery took %s", max)
	}
	same(t, "lead time", s.LeadTimeForChanges, deploy.Spread{Count: 4, P50: time.Hour + time.Minute, P90: time.Hour + time.Minute, Max: time.Hour + time.Minute})
	same(t, "verdicts", s.Verdict, deploy.Spread{Count: 9, P50: time.Minute, P90: time.Minute, Max: time.Minute})
	same(t, "queue wait", s.QueueWait, deploy.Spread{Count: 14, P50: 10 * time.Second, P90: 10 * time.Second, Max: 10 * time.Second})
	same(t, "stages", s.Stages, []deploy.StageTally{
		{Name: "build", Rejected: deploy.Share{Of: 4}, Took: deploy.Spread{Count: 6, P50: 20 * time.Second, P90: 20 * time.Second, Max: 20 * time.Second}},
		{Name: "test.unit", Rejected: deploy.Share{Count: 3, Of: 4}}, {Name: "monitor", Rejected: deploy.Share{Count: 1, Of: 4}},
	})
	times := cmpopts.IgnoreTypes(time.Time{})
	runs := []deploy.FailureRun{{App: "shop", Length: 3, First: 4, Last: 7, Over: true}}
	if diff := cmp.Diff(runs, s.Runs, times); diff != "" || s.LongestRun != 3 {
		t.Errorf("runs, the longest of %d (-want +got):\n%s", s.LongestRun, diff)
	}
	causes := []deploy.FailureCause{
		{Signature: "test set \"unit\" failed (exit status <n>)\n--- FAIL: TestTotal (<duration>)", Stage: "test.unit", Count: 3,
			Apps: []deploy.AppName{"blog", "shop"}, Example: 6, Reason: "test set \"unit\" failed (exit status 1)"},
		{Signature: "internal error, deployment <n>", Errored: true, Count: 1, Apps: []deploy.AppName{"shop"}, Example: 11, Reason: "internal error, deployment 11"},
		{Signature: "<n>% of <n> requests answered <n>xx", Stage: deploy.StageMonitor, Count: 1, Apps: []deploy.AppName{"shop"}, Example: 7, Reason: "5.2% of 100 requests answered 5xx"},
	}
	if diff := cmp.Diff(causes, s.Causes, times); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	if c := s.Causes[0]; !c.FirstAt.Before(c.LastAt) || c.FirstAt.Before(s.From) {
		t.Errorf("the first cause was seen from %s to %s", c.FirstAt, c.LastAt)
	}
	same(t, "regressions", []deploy.Number{s.Regressions[0].Deployment, s.Regressions[1].Deployment}, []deploy.Number{14, 8})
	same(t, "the regression", got[deploy.Regression](t)(p.store.Regression(t.Context(), 8)).FixedBy, deploy.Number(9))
}

// TestStatisticsOfOneApp: nobody's statistics tell of an app that they may not read.
func TestStatisticsOfOneApp(t *testing.T) {
	p := threeWeeks(t)
	p.add(userCreated("carol", deploy.RoleViewer))
	p.add(granted("blog", "carol", deploy.RoleViewer))
	until := monday.AddDate(0, 0, 2)
	ask := func(f deploy.StatisticsFilter) deploy.Tally {
		t.Helper()
		f.Weeks, f.Until = 2, until
		return got[deploy.Statistics](t)(p.store.Statistics(t.Context(), f)).Total
	}
	blog := deploy.Tally{Deployments: 3, Accepted: 1, GateRejected: 1, Running: 1}
	same(t, "blog", ask(deploy.StatisticsFilter{App: "blog"}), blog)
	same(t, "what carol sees", ask(deploy.StatisticsFilter{VisibleTo: deploy.Scope{User: "carol"}}), blog)
	same(t, "what carol sees of shop", ask(deploy.StatisticsFilter{App: "shop", VisibleTo: deploy.Scope{User: "carol"}}), deploy.Tally{})
	s := got[deploy.Statistics](t)(p.store.Statistics(t.Context(), deploy.StatisticsFilter{Until: until, App: "none"}))
	same(t, "weeks without anything", len(s.Weeks), deploy.DefaultWeeks)
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back deploy.Statistics
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	same(t, "read back", back, s)
}

// TestRegressionOfNothing is refused before it is recorded.
func TestRegressionOfNothing(t *testing.T) {
	p := threeWeeks(t)
	head := uint64(len(p.events))
	for n, fix := range map[deploy.Number]deploy.Number{99: 0, 8: 99} {
		e := of(n, deploy.EventRegressionMarked).WithData(deploy.Regression{Deployment: n, FixedBy: fix})
		if err := p.store.Check(t.Context(), e, head); err == nil {
			t.Errorf("%d mended by %d: no error", n, fix)
		}
	}
	if _, err := p.store.Regression(t.Context(), 1); err == nil {
		t.Error("deployment 1 is a regression")
	}
}

// TestStatisticsOfANameGivenAgain: what one app failed at is no failure of the next one of its name.
func TestStatisticsOfANameGivenAgain(t *testing.T) {
	p := &past{history: newHistory(t), now: monday.Add(time.Hour)}
	p.add(appCreated("shop", 1))
	p.reject(1, "shop", "test.unit", unitFailed("no"))
	p.reject(2, "shop", "test.unit", unitFailed("no"))
	p.accept(3, "shop", 0, nil)
	p.mark(3, "shop", deploy.Regression{Reason: "no tax"})
	p.reject(4, "shop", "test.unit", unitFailed("no"))
	p.add(p.at(0, "shop", deploy.EventAppRemoved, time.Second, nil))
	p.add(appCreated("shop", 2))
	p.reject(5, "shop", "test.unit", unitFailed("no"))
	p.accept(6, "shop", 0, nil)
	s := got[deploy.Statistics](t)(p.store.Statistics(t.Context(), deploy.StatisticsFilter{Weeks: 1, Until: monday.AddDate(0, 0, 6)}))
	same(t, "runs of failures", len(s.Runs), 1)
	same(t, "the longest one", s.LongestRun, 2)
	same(t, "failed changes that nothing has mended", s.Unrecovered, 1)
}
