package deploy

import (
	"context"
	"time"
)

// Pusher is who pushes, as the connection proved it.
type Pusher struct {
	User        UserName `json:"user"`
	Admin       bool     `json:"admin,omitempty"`
	Fingerprint string   `json:"fingerprint"` // SHA256:… of the public key, or token:ID, or session:ID
	IP          string   `json:"ip"`
}

// Operator is who works at the server itself, or by a token that belongs to nobody. No user has the name.
const Operator UserName = "operator"

// RefUpdate asks that Ref, which the client last saw at Old, become New. A zero Old creates the ref,
// a zero New deletes it.
type RefUpdate struct {
	Ref RefName `json:"ref"`
	Old OID     `json:"old"`
	New OID     `json:"new"`
}

// Push is all ref updates of one git push, with its options, before anything was decided.
type Push struct {
	App     AppName
	Pusher  Pusher
	Updates []RefUpdate
	Options []string
}

// Bypass is an admin's decision to put a revision into production without its tests, the watch only
// recorded.
type Bypass struct {
	Reason string `json:"reason"`
	Forced bool   `json:"forced,omitempty"` // it is not a fast-forward of the ref
}

// AgainKind says how something that was deployed before is deployed again.
type AgainKind string

// The kinds of [Again].
const (
	AgainRedeploy AgainKind = "redeploy" // its revision goes through every stage again
	AgainRollback AgainKind = "rollback" // its release, which is kept, serves again
)

// Again is a person's wish to deploy what was deployed before, without a push. The ref may go
// backwards by it.
type Again struct {
	Kind   AgainKind `json:"kind"`
	Of     Number    `json:"of"`
	Reason string    `json:"reason,omitempty"`
}

// String says it in words: "roll back to 41", "redeploy of 41".
func (a *Again) String() string {
	if a.Kind == AgainRollback {
		return "roll back to " + a.Of.String()
	}
	return "redeploy of " + a.Of.String()
}

// AgainRequest asks for what was deployed before, without a push.
type AgainRequest struct {
	App    App
	Again  Again
	Caller Pusher
	Queued func(Number) // told the number once there is one; may be nil
}

// Commit is what people want to read of a revision. Subject and Author come from the pusher and may
// hold anything but control characters, which the reader of the commit removes.
type Commit struct {
	Subject    string    `json:"subject"`
	Author     string    `json:"author"`
	AuthoredAt time.Time `json:"authoredAt"`
}

// Offer is the update of a gated branch, handed to the gate: its objects are in the repository for
// good, its ref has not moved.
type Offer struct {
	App     AppName
	Update  RefUpdate
	Pusher  Pusher
	Options []string
	Again   *Again // nil for a push
	Commit  Commit
	// Revision reads Update.New. It stays usable after the pusher has gone.
	Revision Revision
	// Queued, if it is not nil, is told the number once the offer has one.
	Queued func(Number)
}

// Revision is a commit in a repository. Its methods are safe for concurrent use.
type Revision interface {
	// Checkout writes the revision's files into dir, an existing empty directory, without .git.
	Checkout(ctx context.Context, dir string) error
	// DescendsFrom tells whether ancestor is the revision itself or one of its ancestors. A zero
	// ancestor is an ancestor of everything.
	DescendsFrom(ctx context.Context, ancestor OID) (bool, error)
	// ReadFile returns the file at a slash-separated path of the revision, without checking anything
	// out. It returns an fs.ErrNotExist where there is no regular file, and a [Rejection] with
	// [CodeSize] where it is larger than limit bytes.
	ReadFile(ctx context.Context, path string, limit int64) ([]byte, error)
}

// RefTransaction holds a ref's lock, its old value checked, until it is committed or aborted. It is
// for one goroutine at a time.
type RefTransaction interface {
	// Commit moves the ref and returns when that is on disk.
	Commit(ctx context.Context) error
	// Abort lets the ref be. After Commit it does nothing, so it can be deferred.
	Abort() error
}

// Answer is what the gate says of an offer.
type Answer struct {
	Number   Number // zero if the offer was refused before it got a number
	Accepted bool
	// Line is why not, short enough for git's "! [remote rejected] main -> main (…)".
	Line string
	// Refused is why it got no number; nil if it got one.
	Refused *Rejection
}
