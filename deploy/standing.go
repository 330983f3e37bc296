package deploy

import "time"

// Standing is how a target stands: what the records say, and what can be seen.
type Standing struct {
	App       App
	Role      Role // what who asked is on it
	State     TargetState
	Instances []RunningInstance // of the release that serves by the records
	Drift     string            // how production is not what the records say; empty if it is
	Queue     []Waiting
	Accepted  *Deployment // by which what serves came into production; nil if it is not told or there is none
}

// RecentTraffic is what the router passed to an app lately, in equal steps of time, the oldest first.
type RecentTraffic struct {
	Step     time.Duration
	Requests []int64
	Errors   []int64 // of them those that were answered 5xx, or not at all
}

// RunningInstance is an instance as it is now.
type RunningInstance struct {
	Instance
	State InstanceState
}

// StageRecord is a stage with what it left behind.
type StageRecord struct {
	Stage
	StageData
}

// NewApp is an app to be made.
type NewApp struct {
	Name         AppName
	Branch       string // that is gated; main if empty
	ObjectFormat string // sha1 or sha256; sha1 if empty
}

// NewToken is a token to be made.
type NewToken struct {
	Name    string
	Limit   Limit
	Expires time.Duration // from now; zero for never
}

// ChainState is where the audit log ends, and what its last verification found.
type ChainState struct {
	Sequence uint64 `json:"sequence"` // of the last event
	Hash     string `json:"hash"`     // SHA-256 of its line
	Behind   bool   `json:"behind"`   // the database has not had every event
}

// ChainReport is what a verification of the audit log saw.
type ChainReport struct {
	At       time.Time
	Files    int
	Events   uint64
	Head     ChainState
	Findings []ChainFinding
	More     bool // there were more than are told
}

// ChainFinding is a place where the audit log is not as it was written.
type ChainFinding struct {
	Kind   string
	File   string // empty for the whole log
	Line   int    // from 1; zero for the whole file
	Detail string
}

// History is the commits that a deployment brought, newest first.
type History struct {
	Commits []CommitOf
	More    bool // there are more than were asked for
}

// CommitOf is a commit with its id.
type CommitOf struct {
	ID OID
	Commit
}

// Diff is what a deployment changed in the tree.
type Diff struct {
	Files []FileChange
	More  bool // there are more than were asked for
}

// FileChange is what changed in one file. Path is empty for one that was deleted, OldPath for a new one.
type FileChange struct {
	Path, OldPath  string
	Added, Deleted int // lines
	Binary         bool
	Patch          string // hunks as git diff writes them; empty if it is binary, or too long
}

// DiffLimits bound a diff.
type DiffLimits struct {
	Files int // at most so many
	Bytes int // of all patches together
}
