package deploy

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinel errors that stores and services return, wrapped; test them with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
	// ErrNoKey says that the key which something was encrypted with is missing.
	ErrNoKey = errors.New("the key is missing")
	// ErrShutdown is the cause with which a stopping server ends the contexts of its pushers.
	ErrShutdown = errors.New("the server is stopping")
)

// Code says for programs why something was refused. Codes are append-only: a published one keeps its
// meaning for ever.
type Code string

// The codes of a [Rejection].
const (
	CodeManifest     Code = "manifest"     // slipway.toml or Procfile is broken, or nothing can be run
	CodeCheckout     Code = "checkout"     // the tree holds what cannot be checked out
	CodeBuild        Code = "build"        // the build failed
	CodeTest         Code = "test"         // a test set failed
	CodeLimit        Code = "limit"        // a memory, process, disk, file or time limit struck
	CodeRelease      Code = "release"      // the release command failed
	CodeReady        Code = "ready"        // the candidate did not become ready
	CodeHook         Code = "hook"         // a before_… hook failed
	CodeSwitch       Code = "switch"       // production did not take the candidate
	CodeMonitor      Code = "monitor"      // a check of the watch failed
	CodeStale        Code = "stale"        // the push is no fast-forward of the ref
	CodeForbidden    Code = "forbidden"    // the pusher has no right to it
	CodeFrozen       Code = "frozen"       // the target takes no deployments now
	CodeOption       Code = "option"       // a push option is unknown or incomplete
	CodeSize         Code = "size"         // the push is larger than allowed
	CodeDelete       Code = "delete"       // the gated branch cannot be deleted
	CodeCanceled     Code = "canceled"     // the pusher or an operator canceled it
	CodeUnauthorized Code = "unauthorized" // no such user or key
	CodeUsage        Code = "usage"        // a command was called wrongly
	CodeNotFound     Code = "not_found"    // what was named does not exist, or is not to be seen
	CodeExists       Code = "exists"       // what was to be made is there already
	CodeTechnical    Code = "technical"    // not the revision: a service or host that it needs did not answer
	CodeUnavailable  Code = "unavailable"  // the server cannot do it now
)

// Rejection is what a pusher, or the caller of a command, can mend. Its texts are the only error
// texts such a person sees; every other error is a fault, told as "internal error" and logged.
type Rejection struct {
	Code    Code     `json:"code"`
	Message string   `json:"message"`        // a sentence's beginning: test set "unit" failed (exit status 1)
	Hint    string   `json:"hint,omitempty"` // what to do about it; may have several lines
	Tail    []string `json:"tail,omitempty"` // the last lines of the failing output, cause first
	Line    string   `json:"line,omitempty"` // for git's reject line; Message if empty
}

// Error returns the message and the hint.
func (r *Rejection) Error() string {
	if r.Hint == "" {
		return r.Message
	}
	return r.Message + "\n" + r.Hint
}

// Reject makes a rejection with a formatted message and no hint.
func Reject(code Code, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy of r that says what to do.
func (r *Rejection) WithHint(format string, args ...any) *Rejection {
	c := *r
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Bounds of a rejection's texts, in bytes. An event's line in the audit log has room for them.
const (
	maxText = 4 << 10
	maxTail = 16 << 10
)

// Bounded returns a copy of r that fits into an event: texts cut at 4 KiB, and of the tail its last
// 16 KiB.
func (r *Rejection) Bounded() *Rejection {
	c := *r
	c.Message, c.Hint, c.Line = cut(r.Message), cut(r.Hint), cut(r.Line)
	left := len(r.Tail)
	for size := 0; left > 0; left-- {
		if size += len(r.Tail[left-1]) + 1; size > maxTail {
			break
		}
	}
	c.Tail = r.Tail[left:]
	return &c
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// AsRejection returns the rejection in err's chain, if there is one.
func AsRejection(err error) (*Rejection, bool) {
	r, ok := errors.AsType[*Rejection](err)
	return r, ok
}
