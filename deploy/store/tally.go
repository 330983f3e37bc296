package store

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
)

// How many of them statistics list.
const (
	mostRuns   = 50
	mostCauses = 50
)

const day = 24 * time.Hour

// tallier makes statistics of deployments that it is given in their order.
type tallier struct {
	s           deploy.Statistics
	regressions map[deploy.Number]deploy.Regression

	took                          map[deploy.StageName][]time.Duration
	verdicts, waits, leads, mends []time.Duration

	rejected map[deploy.StageName]int // by the stage that failed
	causes   map[cause]*deploy.FailureCause
	runs     map[owner]*deploy.FailureRun // that go on
	ended    []deploy.FailureRun
	serving  map[owner]served
	failing  map[owner][]failing
	failed   int // changes
}

// owner is an app whose deployments they are. Its name may have been another's before.
type owner struct {
	id   uint32
	name deploy.AppName
}

func (r deploymentRow) owner() owner { return owner{r.AppID, r.App} }

type cause struct {
	stage     deploy.StageName
	status    deploy.Status
	signature string
}

// served is the deployment of an app that was accepted last.
type served struct {
	release deploy.Number
	since   moment
	change  bool // none that was made by a roll back, and not known to have failed
}

// failing is a failed change that production has not recovered from.
type failing struct {
	since   moment
	fixedBy deploy.Number // zero for whatever is accepted next
}

func newTallier(app deploy.AppName, from, until time.Time, regressions map[deploy.Number]deploy.Regression) *tallier {
	t := &tallier{
		s: deploy.Statistics{App: app, From: from, Until: until}, regressions: regressions,
		took: map[deploy.StageName][]time.Duration{}, rejected: map[deploy.StageName]int{}, causes: map[cause]*deploy.FailureCause{},
		runs: map[owner]*deploy.FailureRun{}, serving: map[owner]served{}, failing: map[owner][]failing{},
	}
	for start := from; start.Before(until); start = start.AddDate(0, 0, 1) {
		t.s.Days = append(t.s.Days, deploy.Period{Start: start})
		if start.Weekday() == time.Monday {
			t.s.Weeks = append(t.s.Weeks, deploy.Period{Start: start})
		}
	}
	return t
}

// count counts something that happened at a time: on that day, in that week, and in all.
func (t *tallier) count(when time.Time, one func(*deploy.Tally)) {
	n := int(when.Sub(t.s.From) / day)
	if n < 0 || n >= len(t.s.Days) {
		return
	}
	one(&t.s.Days[n].Tally)
	one(&t.s.Weeks[n/7].Tally)
	one(&t.s.Total)
}

func (t *tallier) add(d deploymentRow) {
	_, regressed := t.regressions[d.Number]
	t.count(d.QueuedAt.Time, func(c *deploy.Tally) { tally(c, d, regressed) })
	if !d.StartedAt.IsZero() {
		t.waits = append(t.waits, span(d.QueuedAt, d.StartedAt))
	}
	switch d.Status {
	case deploy.StatusAccepted:
		t.accepted(d, regressed)
	case deploy.StatusRejected:
		t.reject(d)
	case deploy.StatusErrored:
		t.blame(d)
	}
}

// tally counts one deployment.
func tally(c *deploy.Tally, d deploymentRow, regressed bool) {
	if d.Again == deploy.AgainRollback {
		c.RollBacks++
		return
	}
	c.Deployments++
	switch d.Status {
	case deploy.StatusAccepted:
		c.Accepted++
	case deploy.StatusRejected:
		if d.SwitchedAt.IsZero() {
			c.GateRejected++
		} else {
			c.RolledBack++
		}
	case deploy.StatusCanceled:
		c.Canceled++
	case deploy.StatusInterrupted:
		c.Interrupted++
	case deploy.StatusErrored:
		c.Errored++
	default:
		c.Running++
	}
	if d.Bypass {
		c.Bypasses++
	}
	if d.Again == deploy.AgainRedeploy {
		c.Redeploys++
	}
	if regressed {
		c.Regressions++
	}
}

// accepted is what production runs from then on.
func (t *tallier) accepted(d deploymentRow, regressed bool) {
	byHand := d.Again == deploy.AgainRollback
	if run := t.runs[d.owner()]; run != nil {
		run.Over = true
		t.endRun(d.owner())
	}
	if last := t.serving[d.owner()]; byHand && last.change && last.release == d.Previous && d.AgainOf < d.Previous {
		t.fail(d.owner(), failing{since: last.since})
	}
	t.recover(d, regressed)
	if regressed {
		t.fail(d.owner(), failing{since: trafficSince(d), fixedBy: t.regressions[d.Number].FixedBy})
	}
	if byHand {
		t.serving[d.owner()] = served{release: d.AgainOf}
		return
	}
	t.serving[d.owner()] = served{release: d.Number, since: trafficSince(d), change: !regressed}
	t.verdicts = append(t.verdicts, span(d.QueuedAt, d.FinishedAt))
	if d.Again == "" && !d.CommitAuthoredAt.IsZero() {
		t.leads = append(t.leads, span(d.CommitAuthoredAt, d.FinishedAt))
	}
}

// trafficSince is when a deployment's release got the traffic, as far as that is known.
func trafficSince(d deploymentRow) moment {
	if d.SwitchedAt.IsZero() {
		return d.FinishedAt
	}
	return d.SwitchedAt
}

func (t *tallier) fail(app owner, f failing) {
	t.failed++
	t.failing[app] = append(t.failing[app], f)
}

// recover ends the failures that an accepted deployment mends.
func (t *tallier) recover(d deploymentRow, regressed bool) {
	t.failing[d.owner()] = slices.DeleteFunc(t.failing[d.owner()], func(f failing) bool {
		mended := f.fixedBy == d.Number || f.fixedBy == 0 && !regressed
		if mended {
			t.mends = append(t.mends, span(f.since, d.FinishedAt))
		}
		return mended
	})
}

func (t *tallier) reject(d deploymentRow) {
	if d.Again == deploy.AgainRollback {
		return // it says nothing of a revision
	}
	t.verdicts = append(t.verdicts, span(d.QueuedAt, d.FinishedAt))
	t.rejected[d.FailedStage]++
	t.blame(d)
	switch {
	case d.SwitchedAt.IsZero(): // nobody has noticed
	case d.RollBack == RollbackDone:
		t.failed++
		t.mends = append(t.mends, span(d.SwitchedAt, d.RollBackAt))
	default:
		t.fail(d.owner(), failing{since: d.SwitchedAt})
	}
	run := t.runs[d.owner()]
	if run == nil {
		run = &deploy.FailureRun{App: d.App, First: d.Number, Since: d.QueuedAt.Time}
		t.runs[d.owner()] = run
	}
	run.Length++
	run.Last, run.Until = d.Number, d.FinishedAt.Time
	t.s.LongestRun = max(t.s.LongestRun, run.Length)
}

func (t *tallier) endRun(app owner) {
	if run := t.runs[app]; run != nil && run.Length > 1 {
		t.ended = append(t.ended, *run)
	}
	delete(t.runs, app)
}

// blame puts a failure to those of the same cause.
func (t *tallier) blame(d deploymentRow) {
	key := cause{d.FailedStage, d.Status, d.Signature}
	c := t.causes[key]
	if c == nil {
		c = &deploy.FailureCause{Signature: d.Signature, Stage: d.FailedStage, Errored: d.Status == deploy.StatusErrored, FirstAt: d.QueuedAt.Time}
		t.causes[key] = c
	}
	c.Count++
	c.LastAt, c.Example, c.Reason = d.QueuedAt.Time, d.Number, d.Reason
	if i, found := slices.BinarySearch(c.Apps, d.App); !found {
		c.Apps = slices.Insert(c.Apps, i, d.App)
	}
}

// result puts everything together.
func (t *tallier) result() deploy.Statistics {
	s := &t.s
	s.Causes = []deploy.FailureCause{}
	changes := s.Total.Accepted + s.Total.RolledBack
	s.DeploymentFrequency = float64(s.Total.Accepted) / (float64(max(s.Until.Sub(s.From), day)) / float64(day))
	s.ChangeFailureRate = deploy.Share{Count: t.failed, Of: changes}
	rejected := s.Total.GateRejected + s.Total.RolledBack
	s.FailureRate = deploy.Share{Count: rejected, Of: s.Total.Accepted + rejected}
	s.LeadTimeForChanges, s.FailedDeploymentRecoveryTime = deploy.SpreadOf(t.leads), deploy.SpreadOf(t.mends)
	s.Verdict, s.QueueWait = deploy.SpreadOf(t.verdicts), deploy.SpreadOf(t.waits)
	for _, f := range t.failing {
		s.Unrecovered += len(f)
	}
	s.Stages = t.stageTallies(rejected)
	t.listRuns()
	t.listCauses()
	s.Regressions = slices.AppendSeq([]deploy.Regression{}, maps.Values(t.regressions))
	slices.SortFunc(s.Regressions, func(a, b deploy.Regression) int { return cmp.Compare(b.Deployment, a.Deployment) })
	return t.s
}

func (t *tallier) stageTallies(rejections int) []deploy.StageTally {
	names := map[deploy.StageName]bool{}
	for name := range t.took {
		names[name] = true
	}
	for name := range t.rejected {
		names[name] = true
	}
	all := []deploy.StageTally{}
	for _, name := range slices.SortedFunc(maps.Keys(names), byPipeline) {
		all = append(all, deploy.StageTally{
			Name: name, Rejected: deploy.Share{Count: t.rejected[name], Of: rejections}, Took: deploy.SpreadOf(t.took[name]),
		})
	}
	return all
}

// byPipeline orders stages as they come one after the other.
func byPipeline(a, b deploy.StageName) int {
	place := func(s deploy.StageName) int {
		first, _, _ := strings.Cut(string(s), ".")
		return slices.Index([]deploy.StageName{
			"", deploy.StageCheckout, deploy.StageBuild, deploy.StageTest, deploy.StageRelease, deploy.StageSwitch, deploy.StageMonitor,
		}, deploy.StageName(first))
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(string(a), string(b)))
}

func (t *tallier) listRuns() {
	for app := range t.runs {
		t.endRun(app)
	}
	slices.SortFunc(t.ended, func(a, b deploy.FailureRun) int { return cmp.Compare(b.Last, a.Last) })
	t.s.Runs = append([]deploy.FailureRun{}, t.ended[:min(len(t.ended), mostRuns)]...)
}

func (t *tallier) listCauses() {
	for _, c := range t.causes {
		t.s.Causes = append(t.s.Causes, *c)
	}
	slices.SortFunc(t.s.Causes, func(a, b deploy.FailureCause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.Example, a.Example))
	})
	t.s.MoreCauses = max(len(t.s.Causes)-mostCauses, 0)
	t.s.Causes = t.s.Causes[:len(t.s.Causes)-t.s.MoreCauses]
}
