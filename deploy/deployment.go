package deploy

import "time"

// Status is where a deployment stands.
type Status string

// The statuses of a deployment. Those from StatusAccepted on are final.
const (
	StatusQueued      Status = "queued"
	StatusRunning     Status = "running"
	StatusAccepted    Status = "accepted"    // the ref is this revision
	StatusRejected    Status = "rejected"    // the revision failed; production is as before
	StatusCanceled    Status = "canceled"    // before the switch, by the pusher's leaving or a command
	StatusInterrupted Status = "interrupted" // the server went away in the middle; production is as before
	StatusErrored     Status = "errored"     // our own failure; production is as before unless the target is frozen
)

// Final tells whether s is an end.
func (s Status) Final() bool { return s != StatusQueued && s != StatusRunning }

// StageName names a stage; a test set's stage is "test." and the set's name.
type StageName string

// The stages, in order.
const (
	StageCheckout StageName = "checkout"
	StageBuild    StageName = "build"
	StageTest     StageName = "test"
	StageRelease  StageName = "release"
	StageSwitch   StageName = "switch"
	StageMonitor  StageName = "monitor"
)

// TestStage is the stage of a test set.
func TestStage(set string) StageName { return StageTest + "." + StageName(set) }

// Outcome is how a stage or a check ended.
type Outcome string

// The outcomes.
const (
	OutcomePass     Outcome = "pass"
	OutcomeFail     Outcome = "fail"
	OutcomeSkipped  Outcome = "skipped"
	OutcomeCanceled Outcome = "canceled"
	OutcomeFault    Outcome = "fault"
	OutcomeNoData   Outcome = "not enough data" // of a check only
)

// Deployment is everything done for one gated push, as history knows it.
type Deployment struct {
	Number       Number      `json:"number"`
	App          AppName     `json:"app"`
	Environment  Environment `json:"environment"`
	Ref          RefName     `json:"ref"`
	Old          OID         `json:"old"` // the ref when the deployment's turn came; what the client saw before that
	New          OID         `json:"new"`
	Commit       Commit      `json:"commit"`
	Pusher       Pusher      `json:"pusher"`
	Bypass       *Bypass     `json:"bypass,omitempty"`
	Again        *Again      `json:"again,omitempty"` // nil for a push
	Status       Status      `json:"status"`
	Code         Code        `json:"code,omitempty"`   // why it was not accepted
	Reason       string      `json:"reason,omitempty"` // the sentence that the pusher read
	FailedStage  StageName   `json:"failedStage,omitempty"`
	Previous     Number      `json:"previous,omitempty"` // the release that served when it started
	QueuedAt     time.Time   `json:"queuedAt"`
	StartedAt    time.Time   `json:"startedAt,omitzero"`
	SwitchedAt   time.Time   `json:"switchedAt,omitzero"`   // the switch was intended; recovery puts traffic back
	RolledBackAt time.Time   `json:"rolledBackAt,omitzero"` // traffic was back, verified
	FinishedAt   time.Time   `json:"finishedAt,omitzero"`
	RefMoved     bool        `json:"refMoved"`
}

// Target returns what the deployment changes.
func (d *Deployment) Target() Target { return Target{App: d.App, Environment: d.Environment} }

// Release returns the number of the release that the deployment puts into production: its own, but for
// a roll back.
func (d *Deployment) Release() Number {
	if d.Again != nil && d.Again.Kind == AgainRollback {
		return d.Again.Of
	}
	return d.Number
}

// Stage is one stage of a deployment, as history knows it.
type Stage struct {
	Deployment Number    `json:"deployment"`
	Name       StageName `json:"name"`
	Outcome    Outcome   `json:"outcome,omitempty"` // empty while it runs
	Reason     string    `json:"reason,omitempty"`
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
}

// TargetState is what the records say of a target.
type TargetState struct {
	Target   Target    `json:"target"`
	Serving  Number    `json:"serving"`  // the accepted release that serves; zero if none
	Revision OID       `json:"revision"` // of that release
	Previous Number    `json:"previous"` // the good release before it
	Frozen   string    `json:"frozen,omitempty"`
	FrozenAt time.Time `json:"frozenAt,omitzero"`
}

// Check is one question of the watch with its answer so far.
type Check struct {
	Name    string  `json:"name"` // probe, errors, restarts, memory, cpu, log, identity
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail"` // the numbers, for people: "3 of 120 requests failed (2.5%), at most 1%"
}

// Measurement is one look at a candidate under watch.
type Measurement struct {
	At     time.Time     `json:"at"`
	Probe  string        `json:"probe"` // "200 in 3 ms", or the error
	Counts TrafficCounts `json:"counts"`
	Memory int64         `json:"memory"` // bytes
	CPU    time.Duration `json:"cpu"`
	Checks []Check       `json:"checks"`
	// Readings are the numbers that the checks compared with their limits, one a check at most.
	Readings []Reading `json:"readings,omitempty"`
}

// Reading is a number that a check has seen, and what it may be at most. For memory it is bytes, for cpu
// cores, for errors a share from 0 to 1, for probe seconds; of several instances it is the worst one's.
type Reading struct {
	Check string  `json:"check"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit,omitempty"` // zero for none
}

// WatchResult is the verdict of a watch.
type WatchResult struct {
	Pass   bool
	Reason string // one line; empty if it passed
	Checks []Check
	Tail   []string // what the app's log said last, if it failed
}
