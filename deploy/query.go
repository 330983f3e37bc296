package deploy

import "time"

// DeploymentFilter says which deployments are wanted, newest first. Zero fields do not matter.
type DeploymentFilter struct {
	App         AppName
	User        UserName // who pushed
	VisibleTo   Scope    // only of apps that are within it
	Status      Status
	FailedStage StageName
	Code        Code
	Revision    OID // or its beginning: [ParseOIDPrefix]
	Ref         RefName
	Bypassed    bool      // only those that bypassed the gate
	Text        string    // all its words are words of the reason or the commit's subject, in any order and case
	Since       time.Time // queued then or later; a clock that was set back counts as one that stood still
	Until       time.Time // queued before it
	Before      Number    // for the next page, the last number of this one
	After       Number    // for the page before, the first number of this one; still newest first
	Limit       int       // 50 if zero, at most 1,000
}

// EventFilter says which events are wanted, newest first. Zero fields do not matter.
type EventFilter struct {
	App        AppName
	VisibleTo  Scope // only of apps that are within it
	Deployment Number
	Type       EventType
	Actor      string // its name
	Since      time.Time
	Until      time.Time // happened before it
	Before     uint64    // sequence: for the next page, that of the last event of this one
	After      uint64    // sequence: for the page before, that of the first event of this one
	Limit      int       // 50 if zero, at most 1,000
}

// Scope is the apps that a question may be answered about. The zero scope is every app.
type Scope struct {
	User UserName // the apps that this user may read; an admin may read all
	App  AppName  // this app alone
}

// QueueEntry is a deployment that has not ended, and where it stands.
type QueueEntry struct {
	Deployment     Deployment
	Stage          StageName // that it is in; empty while it waits and between two stages
	StageStartedAt time.Time
}
