package build

import (
	"fmt"
	"regexp"
	"strings"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

// words are how a step's failure is told.
type words struct {
	code    deploy.Code
	subject string // test set "unit"
	line    string // test unit
	section string // of the manifest, test.unit; "" where limits cannot be set
}

// The names of steps that are no hooks.
const (
	stepRelease = "release"
	stepRun     = "run"
	stepUndo    = "undo"
)

// wordsFor are the words for a step that [Builder.Run] runs.
func wordsFor(name string) words {
	switch name {
	case stepRelease:
		return words{code: deploy.CodeRelease, subject: "release command", line: "release command"}
	case stepRun:
		return words{code: deploy.CodeSwitch, subject: "deploy command", line: "deploy command"}
	case stepUndo:
		return words{code: deploy.CodeSwitch, subject: "undo command", line: "undo command"}
	}
	return words{code: deploy.CodeHook, subject: "hook " + name, line: "hook " + name}
}

// limitKeys are the manifest's keys for the limits, by the beginning of what the sandbox calls them.
var limitKeys = []struct{ limit, key string }{
	{"memory limit", "memory"},
	{"process limit", "processes"},
	{"file size limit", "file_size"},
	{"disk limit", "disk"},
	{"time limit", "timeout"},
}

// ending is what is known of a step that did not end well.
type ending struct {
	result  sandbox.Result
	network bool     // it had one
	refused []string // hosts that the egress proxy refused
	tail    []string
}

// failed is the rejection for a step that ended so.
func (w words) failed(e ending) *deploy.Rejection {
	rej := &deploy.Rejection{
		Code:    w.code,
		Message: fmt.Sprintf("%s failed (%s)", w.subject, e.result),
		Hint:    w.hint(e),
		Line:    w.line + " failed",
		Tail:    e.tail,
	}
	if e.result.Struck != "" {
		limit, _, _ := strings.Cut(e.result.Struck, ";")
		rej.Code = deploy.CodeLimit
		rej.Line += " (" + limit + ")"
	}
	return rej
}

// hint guesses what to do about it.
func (w words) hint(e ending) string {
	for _, l := range limitKeys {
		if strings.HasPrefix(e.result.Struck, l.limit) && w.section != "" {
			return fmt.Sprintf("if it needs more, set %s in [%s]", l.key, w.section)
		}
	}
	if len(e.refused) > 0 {
		return fmt.Sprintf("it was refused to reach %s: the operator lists the hosts that may be reached", strings.Join(e.refused, ", "))
	}
	switch e.result.ExitCode {
	case 126:
		return "a file that is to be run has no executable bit: git update-index --chmod=+x FILE"
	case 127:
		return "a command was not found: steps see the server's programs that are in its PATH, and those of their tree by path"
	}
	if e.result.Struck == "" && !e.network && w.section != "" && wantsNetwork(e.tail) {
		return fmt.Sprintf("it seems to need the network, which it has only with network = true in [%s]", w.section)
	}
	return ""
}

// notReady is the rejection for a test set that never ran, since the app beside it was not ready.
func (w words) notReady(why string, appLog string, tail []string) *deploy.Rejection {
	return &deploy.Rejection{
		Code:    w.code,
		Message: fmt.Sprintf("%s did not run: %s", w.subject, why),
		Hint:    "the app's whole output is in " + appLog,
		Line:    w.line + " did not run: app not ready",
		Tail:    tail,
	}
}

// offline is what programs say that looked for a host and had no network.
var offline = regexp.MustCompile(`(?i)could ?n[o']t resolve|temporary failure in name resolution|name or service not known|` +
	`network is unreachable|EAI_AGAIN|ENETUNREACH|dial tcp: lookup|server misbehaving|nodename nor servname|no address associated`)

func wantsNetwork(tail []string) bool {
	for _, l := range tail {
		if offline.MatchString(l) {
			return true
		}
	}
	return false
}
