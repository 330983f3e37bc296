package deploy

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// The number of weeks that statistics tell of.
const (
	DefaultWeeks = 12
	MaxWeeks     = 156
)

// StatisticsFilter says what is counted.
type StatisticsFilter struct {
	App       AppName
	VisibleTo Scope
	Weeks     int       // the last of them has Until in it; DefaultWeeks if zero, at most MaxWeeks
	Until     time.Time // now, or a moment in the past
}

// Span is the time that the filter is about: from the beginning of a Monday, UTC, to before Until.
func (f StatisticsFilter) Span() (from, until time.Time) {
	weeks := f.Weeks
	if weeks <= 0 {
		weeks = DefaultWeeks
	}
	until = f.Until.UTC()
	return weekOf(until).AddDate(0, 0, -7*(min(weeks, MaxWeeks)-1)), until
}

// weekOf is the beginning of the Monday of t's week, UTC.
func weekOf(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	sinceMonday := (int(t.UTC().Weekday()) + 6) % 7
	return time.Date(y, m, d-sinceMonday, 0, 0, 0, 0, time.UTC)
}

// Statistics tell what became of the deployments that were queued in a span of time. Days and weeks are
// those of UTC, weeks begin on Monday, and a deployment belongs to the day on which it was queued.
//
// What was refused because of its revision before it had any traffic of production is a gate rejection:
// nobody noticed, so it is no failed change. A change is a revision that got production's traffic by a
// push or a redeployment and was accepted or rolled back by its watch. It failed if it was rolled back, was
// marked as a regression, or was accepted and then undone by a roll back by hand to an earlier release.
// Errored and interrupted deployments are the server's own failures, and canceled ones somebody's wish:
// they count as neither.
type Statistics struct {
	App   AppName   `json:"app,omitempty"` // empty for all that may be seen
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`

	Total Tally    `json:"total"`
	Days  []Period `json:"days"`  // each of them, also those on which nothing happened
	Weeks []Period `json:"weeks"` // the last one may not be over

	// DeploymentFrequency is how many changes were accepted a day.
	DeploymentFrequency float64 `json:"deploymentFrequency"`
	// LeadTimeForChanges is from the writing of a commit to the acceptance of the push that brought it.
	LeadTimeForChanges Spread `json:"leadTimeForChanges"`
	// ChangeFailureRate is how many of the changes failed.
	ChangeFailureRate Share `json:"changeFailureRate"`
	// FailedDeploymentRecoveryTime is, of changes that failed, from when they got production's traffic to
	// when production was good again. That is when the roll back of the watch was done; of a regression,
	// when the deployment that mended it was accepted; and if none is named, and for what was undone by
	// hand, when the next deployment of the app was accepted that is no regression itself.
	FailedDeploymentRecoveryTime Spread `json:"failedDeploymentRecoveryTime"`
	// Unrecovered is how many failed changes production has not recovered from.
	Unrecovered int `json:"unrecovered"`

	// FailureRate is how many verdicts on revisions were rejections, at the gate or by the watch.
	FailureRate Share          `json:"failureRate"`
	Stages      []StageTally   `json:"stages"`     // in the order of the pipeline
	Runs        []FailureRun   `json:"runs"`       // of two or more, the newest first, at most 50
	LongestRun  int            `json:"longestRun"` // of rejections of one app
	Causes      []FailureCause `json:"causes"`     // the most frequent first, at most 50
	MoreCauses  int            `json:"moreCauses"` // how many more there are
	Regressions []Regression   `json:"regressions"`
	Verdict     Spread         `json:"verdict"`   // from push to acceptance or rejection
	QueueWait   Spread         `json:"queueWait"` // from push to the deployment's turn
}

// Tally counts deployments. All but RollBacks and Refused are of pushes and redeployments.
type Tally struct {
	Deployments  int `json:"deployments"`
	Accepted     int `json:"accepted"`
	GateRejected int `json:"gateRejected"` // because of the revision, before it had traffic
	RolledBack   int `json:"rolledBack"`   // by its watch, after it had traffic
	Canceled     int `json:"canceled"`
	Interrupted  int `json:"interrupted"`
	Errored      int `json:"errored"` // our own failures
	Running      int `json:"running"` // or queued
	Bypasses     int `json:"bypasses"`
	Redeploys    int `json:"redeploys"`
	Regressions  int `json:"regressions"` // accepted, and found later to have broken something
	RollBacks    int `json:"rollBacks"`   // by hand, however they ended
	Refused      int `json:"refused"`     // pushes that got no number
}

// Period is a day or a week.
type Period struct {
	Start time.Time `json:"start"`
	Tally
}

// StageTally is one stage: how often it was the one in which a revision was rejected, and how long it took
// when it came to an end. Its name is empty for rejections before the first stage.
type StageTally struct {
	Name     StageName `json:"name"`
	Rejected Share     `json:"rejected"` // of all rejections
	Took     Spread    `json:"took"`
}

// FailureRun is a number of deployments of one app, all rejected, with none accepted between them.
type FailureRun struct {
	App    AppName   `json:"app"`
	Length int       `json:"length"`
	First  Number    `json:"first"`
	Last   Number    `json:"last"`
	Since  time.Time `json:"since"` // the first was queued
	Until  time.Time `json:"until"` // the last was rejected
	Over   bool      `json:"over"`  // something was accepted after it
}

// FailureCause is deployments that failed in the same stage with the same words, but for numbers,
// addresses, paths, times and names that change each time.
type FailureCause struct {
	Signature string    `json:"signature"` // a few lines, what changes masked: <n>, <path>, <time>, …
	Stage     StageName `json:"stage,omitempty"`
	Errored   bool      `json:"errored"` // our own failure
	Count     int       `json:"count"`
	Apps      []AppName `json:"apps"`
	FirstAt   time.Time `json:"firstAt"`
	LastAt    time.Time `json:"lastAt"`
	Example   Number    `json:"example"` // the newest
	Reason    string    `json:"reason"`  // of the example
}

// Share is a part of a whole.
type Share struct {
	Count int `json:"count"`
	Of    int `json:"of"`
}

// Rate is the part, from 0 to 1; 0 of nothing.
func (s Share) Rate() float64 {
	if s.Of == 0 {
		return 0
	}
	return float64(s.Count) / float64(s.Of)
}

// Spread tells of some spans of time. The percentiles are by nearest rank: each is a span that occurred.
type Spread struct {
	Count         int
	P50, P90, Max time.Duration
}

// SpreadOf sorts the spans and tells of them.
func SpreadOf(spans []time.Duration) Spread {
	if len(spans) == 0 {
		return Spread{}
	}
	slices.Sort(spans)
	rank := func(p float64) time.Duration {
		return spans[max(int(math.Ceil(p*float64(len(spans))))-1, 0)]
	}
	return Spread{Count: len(spans), P50: rank(.5), P90: rank(.9), Max: spans[len(spans)-1]}
}

type spreadJSON struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50Seconds"`
	P90   float64 `json:"p90Seconds"`
	Max   float64 `json:"maxSeconds"`
}

// MarshalJSON writes spans as seconds.
func (s Spread) MarshalJSON() ([]byte, error) {
	return json.Marshal(spreadJSON{s.Count, s.P50.Seconds(), s.P90.Seconds(), s.Max.Seconds()})
}

// UnmarshalJSON reads what MarshalJSON wrote, to the microsecond.
func (s *Spread) UnmarshalJSON(b []byte) error {
	var j spreadJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	span := func(seconds float64) time.Duration {
		return (time.Duration(seconds * float64(time.Second))).Round(time.Microsecond)
	}
	*s = Spread{Count: j.Count, P50: span(j.P50), P90: span(j.P90), Max: span(j.Max)}
	return nil
}
