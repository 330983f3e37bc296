package deploy

import (
	"encoding/json"
	"strings"
	"time"
)

// EventType says what happened, or what is about to: types that end in ".intended" are written and
// synced before their effect.
type EventType string

// The event types. They are append-only like codes. The comment tells the type of Data.
const (
	EventServerStarted  EventType = "server.started"  // ServerData
	EventServerShutdown EventType = "server.shutdown" // none; the operator ended it with its router and every instance

	EventUserCreated  EventType = "user.created"  // User
	EventUserRemoved  EventType = "user.removed"  // User (name)
	EventKeyAdded     EventType = "key.added"     // Key
	EventKeyRemoved   EventType = "key.removed"   // Key
	EventAppCreated   EventType = "app.created"   // App
	EventAppRemoved   EventType = "app.removed"   // none; the app is in Event.App
	EventGrantSet     EventType = "grant.set"     // Grant; an empty role takes it away
	EventSignInFailed EventType = "signin.failed" // none; Actor.Key and Actor.IP tell; SignInData for several

	// A ref that is not gated. Without EventRefUpdated after it the server was killed meanwhile, or git could
	// not move the ref: what the ref is tells which.
	EventRefIntended EventType = "ref.intended" // none; Ref, Old, New
	EventRefUpdated  EventType = "ref.updated"  // none; Ref, Old, New

	EventPushRefused EventType = "push.refused" // Rejection; a push was refused before it got a number; Ref, Old, New if they were read

	EventDeploymentQueued  EventType = "deployment.queued"  // Deployment
	EventDeploymentStarted EventType = "deployment.started" // StartedData
	EventStageStarted      EventType = "stage.started"
	EventStageFinished     EventType = "stage.finished"    // StageData; Outcome, Reason
	EventSwitchIntended    EventType = "switch.intended"   // SwitchData
	EventSwitchDone        EventType = "switch.done"       // SwitchData
	EventRollbackIntended  EventType = "rollback.intended" // SwitchData; Reason
	EventRollbackDone      EventType = "rollback.done"     // SwitchData
	EventRollbackFailed    EventType = "rollback.failed"   // SwitchData; Reason

	// EventAccepted is the commit point: from here on the ref will move, after any crash.
	EventAccepted    EventType = "deployment.accepted"    // SwitchData; Old, New
	EventRefMoved    EventType = "ref.moved"              // none; Ref, Old, New
	EventRejected    EventType = "deployment.rejected"    // Rejection
	EventCanceled    EventType = "deployment.canceled"    // Rejection
	EventInterrupted EventType = "deployment.interrupted" // Rejection
	EventErrored     EventType = "deployment.errored"     // Rejection; the fault itself is in the server's log

	EventHookRan        EventType = "hook.ran"        // HookData; Outcome
	EventTargetFrozen   EventType = "target.frozen"   // none; Reason
	EventTargetUnfrozen EventType = "target.unfrozen" // none; Reason
	EventReleasePruned  EventType = "release.pruned"  // none; Deployment numbers the release
	EventDrift          EventType = "drift.found"     // none; Reason

	// The events of work by hand. A variable's value is in none of them.
	EventVariableSet     EventType = "variable.set"     // Variable
	EventVariableUnset   EventType = "variable.unset"   // Variable
	EventVariablesRead   EventType = "variables.read"   // none; somebody was shown the values
	EventRunStarted      EventType = "run.started"      // RunData; Deployment numbers the release
	EventRestartIntended EventType = "restart.intended" // none; Deployment numbers the release
	EventRestarted       EventType = "restart.done"     // none; Deployment numbers the release; Outcome
	EventLogsPruned      EventType = "logs.pruned"      // PrunedData: Deployments
	EventRevisionsPruned EventType = "revisions.pruned" // PrunedData: Deployments
	EventCachePruned     EventType = "cache.pruned"     // PrunedData: Entries, Bytes

	// The events of the API, the pages and statistics. A secret is in none of them, only its hash.
	EventTokenCreated     EventType = "token.created"     // Token
	EventTokenRevoked     EventType = "token.revoked"     // Token (ID, Name)
	EventLinkCreated      EventType = "link.created"      // LinkData; a sign-in link was made
	EventSessionOpened    EventType = "session.opened"    // Session
	EventSessionClosed    EventType = "session.closed"    // Session (ID, User)
	EventRegressionMarked EventType = "regression.marked" // Regression; Deployment; marking again replaces it

	EventAuditVerified EventType = "audit.verified" // VerifiedData; Outcome
)

// ActorType says what kind of thing acted.
type ActorType string

// The actor types.
const (
	ActorUser     ActorType = "user"     // by key over SSH
	ActorOperator ActorType = "operator" // through the server's own socket, or with the server dead
	ActorServer   ActorType = "server"   // by itself: recovery, pruning
	ActorToken    ActorType = "token"    // by a token that belongs to nobody
)

// Actor is who did it, and from where.
type Actor struct {
	Type   ActorType `json:"type"`
	Name   string    `json:"name,omitempty"`
	Key    string    `json:"key,omitempty"` // fingerprint, or token:ID, or session:ID
	IP     string    `json:"ip,omitempty"`
	Origin string    `json:"origin,omitempty"` // ssh, socket, api, web, recovery, …
}

// ServerActor is the server acting by itself.
func ServerActor(origin string) Actor {
	return Actor{Type: ActorServer, Name: "slipway", Origin: origin}
}

// What an [Actor.Key] begins with that is no public key's fingerprint.
const (
	KeyToken   = "token:"
	KeySession = "session:"
)

// Actor returns the pusher as an actor. Who acts without a key is the operator at the server.
func (p Pusher) Actor() Actor {
	if p.Fingerprint == "" {
		return Actor{Type: ActorOperator, Name: string(p.User), Origin: "socket"}
	}
	a := Actor{Type: ActorUser, Name: string(p.User), Key: p.Fingerprint, IP: p.IP, Origin: "ssh"}
	switch {
	case strings.HasPrefix(p.Fingerprint, KeyToken):
		a.Origin = "api"
	case strings.HasPrefix(p.Fingerprint, KeySession):
		a.Origin = "web"
	}
	if p.User == Operator {
		a.Type = ActorToken
		if a.Origin == "web" {
			a.Type = ActorOperator
		}
	}
	return a
}

// Event is one line of the audit log. Sequence, ID and At are set when it is recorded.
type Event struct {
	Sequence    uint64 // from 1, without gaps
	ID          string
	Type        EventType
	At          time.Time
	Actor       Actor
	App         AppName
	Environment Environment
	Ref         RefName
	Old, New    OID
	Deployment  Number
	Stage       StageName
	Outcome     Outcome
	Reason      string
	Data        json.RawMessage // by Type; nil for none
}

// WithData returns e carrying v as its data. It panics if v cannot be JSON, which for the types
// named above cannot happen.
func (e Event) WithData(v any) Event {
	b, err := json.Marshal(v)
	if err != nil {
		panic("deploy: event data: " + err.Error())
	}
	e.Data = b
	return e
}

// ServerData is the data of EventServerStarted.
type ServerData struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	BootID  string `json:"bootId"`
}

// LinkData is the data of EventLinkCreated: for whom it was made, and not what is in it.
type LinkData struct {
	User      UserName  `json:"user,omitempty"` // empty for the operator
	ExpiresAt time.Time `json:"expiresAt"`
}

// SignInData is the data of EventSignInFailed where one event tells of several that followed an earlier one.
type SignInData struct {
	Count int       `json:"count"`
	Since time.Time `json:"since"`
}

// StartedData is the data of EventDeploymentStarted.
type StartedData struct {
	Previous Number  `json:"previous"` // the release that serves now
	Bypass   *Bypass `json:"bypass,omitempty"`
}

// StageData is the data of EventStageFinished: what the stage left behind.
type StageData struct {
	Log    string     `json:"log,omitempty"` // file name under deployments/N/
	Size   int64      `json:"size,omitempty"`
	SHA256 string     `json:"sha256,omitempty"`
	Files  []LeftFile `json:"files,omitempty"` // beside the log: measurements
	Checks []Check    `json:"checks,omitempty"`
}

// LeftFile is a file under deployments/N/.
type LeftFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// VerifiedData is the data of EventAuditVerified.
type VerifiedData struct {
	Head     string   `json:"head"` // SEQUENCE:HASH, up to where
	Files    int      `json:"files"`
	Events   uint64   `json:"events"`
	Logs     int      `json:"logs"`               // files of deployments that were compared
	Known    int      `json:"known"`              // heads kept elsewhere that were compared
	Findings []string `json:"findings,omitempty"` // the first ten
	Count    int      `json:"count"`              // of all findings
}

// SwitchData is the data of the events around a switch: from which release to which; zero is none.
type SwitchData struct {
	From Number `json:"from"`
	To   Number `json:"to"`
}

// RunData is the data of EventRunStarted.
type RunData struct {
	Command string `json:"command"` // without the values of variables
}

// HookData is the data of EventHookRan.
type HookData struct {
	Hook string `json:"hook"`
}

// PrunedData is the data of the events that tell of a removal; they are recorded before it.
type PrunedData struct {
	Deployments []Number `json:"deployments,omitempty"` // whose logs or revisions go
	Entries     []string `json:"entries,omitempty"`     // folders of a cache
	Bytes       int64    `json:"bytes,omitempty"`
}
