package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"slipway/deploy"
)

// What the terminal says beside its stages.

// detected shows the manifest that was guessed, ready to copy.
func (t *terminal) detected(manifest []byte) {
	lines := []string{"  no slipway.toml: this is what the tree looks like", ""}
	for line := range strings.Lines(string(manifest)) {
		lines = append(lines, strings.TrimRight("    "+strings.TrimRight(line, "\n"), " "))
	}
	t.print(append(lines, "")...)
}

func (t *terminal) noTests() {
	t.print("! NO TESTS                  nothing but the build and the watch guards production", "                            add a [test.NAME] to slipway.toml")
}

func (t *terminal) bypass(b deploy.Bypass, sets int) {
	how := "bypass"
	if b.Forced {
		how = "bypass by a forced push"
	}
	reason := b.Reason
	if reason == "" {
		reason = "no reason given"
	}
	t.print(fmt.Sprintf("! %-26s%d test sets skipped, the watch decides nothing", how, sets), "  reason: "+reason)
}

func (t *terminal) note(s string) { t.print("  " + s) }

func (t *terminal) accepted(address string, rev deploy.OID, n deploy.Number) {
	t.print("", fmt.Sprintf("accepted: %s serves %s (deployment %d)", address, rev.Short(), n))
}

// refused tells of a push that got no number.
func (t *terminal) refused(r *deploy.Rejection) { t.print(rejectionLines("refused", r)...) }

// ended tells of a deployment that was not accepted: why, what production serves, where the rest is.
func (t *terminal) ended(r *deploy.Rejection, how deploy.EventType, more ...string) {
	word := "fault"
	switch how {
	case deploy.EventRejected:
		word = "rejected"
	case deploy.EventCanceled:
		word = "canceled"
	case deploy.EventErrored:
		if r.Code == deploy.CodeTechnical {
			word = "errored"
		}
	case deploy.EventInterrupted:
		word = "interrupted"
	}
	lines := append([]string{""}, rejectionLines(word, r)...)
	t.print(append(append(lines, ""), more...)...)
}

func rejectionLines(word string, r *deploy.Rejection) []string {
	lines := []string{word + ": " + plain(r.Message)}
	for _, l := range withoutPrompt(r.Tail) {
		lines = append(lines, "  "+plain(l))
	}
	if r.Hint != "" {
		for l := range strings.Lines(r.Hint) {
			lines = append(lines, plain(strings.TrimRight(l, "\n")))
		}
	}
	return lines
}

// withoutPrompt drops the line that says which command ran, where it was the only one: everybody knows,
// and the cause is to stand first.
func withoutPrompt(tail []string) []string {
	isPrompt := func(l string) bool { return strings.HasPrefix(l, "$ ") }
	if len(tail) > 0 && isPrompt(tail[0]) && !slices.ContainsFunc(tail[1:], isPrompt) {
		return tail[1:]
	}
	return tail
}

// plain keeps text from moving the cursor or renaming the window of whoever reads it: everything but
// printable characters and tabs is dropped, SGR colours with it.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == 0x1b {
			i += escapeLength(s[i:])
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(b.String(), "\uFFFD"))
}

// escapeLength is how long the ANSI sequence (ECMA-48) at the start of s is: CSI … final byte, OSC …
// BEL or ST, or ESC and one more.
func escapeLength(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	}
	return 2
}
