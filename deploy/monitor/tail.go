package monitor

import (
	"regexp"
	"strings"
	"unicode"
)

const (
	tailLines = 20
	tailWidth = 500 // characters of a line
)

// tail keeps the last lines of the logs.
type tail struct{ lines []string }

// add takes in new lines, marked with whose they are where there are several logs.
func (t *tail) add(name string, mark bool, lines []string) {
	for _, l := range lines[max(0, len(lines)-tailLines):] {
		if mark {
			l = name + ": " + l
		}
		t.lines = append(t.lines, clean(l))
	}
	t.lines = t.lines[max(0, len(t.lines)-tailLines):]
}

// escapes are the sequences that would change somebody's terminal: CSI, OSC, and the short ones.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b[@-_]?`)

// clean makes a line that an app wrote fit to be shown.
func clean(line string) string {
	line = escapes.ReplaceAllString(strings.ToValidUTF8(line, "?"), "")
	line = strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return c
		case unicode.IsControl(c):
			return -1
		}
		return c
	}, line)
	if r := []rune(line); len(r) > tailWidth {
		line = string(r[:tailWidth]) + "…"
	}
	return strings.TrimRight(line, " \t")
}
