package deploy

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Bounds of a signature, in bytes and lines.
const (
	maxSignature      = 600
	maxSignatureLine  = 200
	maxSignatureLines = 4  // of the output, below the message
	maxLooked         = 50 // lines of the output are looked at
)

// Signature is what failures of the same cause have in common: the message, and below it the first lines
// of the output that tell of a failure, or its last ones if none does. What is different each time is
// masked: numbers, addresses, ids, paths, times, spans of time, temporary names.
func (r *Rejection) Signature() string {
	lines := []string{normalised(r.Message)}
	for _, l := range telling(r.Tail) {
		if l = normalised(l); l != "" && !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
		if len(lines) > maxSignatureLines {
			break
		}
	}
	return cutAt(strings.TrimSpace(strings.Join(lines, "\n")), maxSignature)
}

// telling are the lines of an output that say what failed.
func telling(tail []string) []string {
	tail = slices.DeleteFunc(slices.Clone(tail[max(0, len(tail)-maxLooked):]), func(l string) bool {
		return strings.TrimSpace(l) == "" || strings.HasPrefix(l, "$ ") // which command it was, the message says
	})
	var all []string
	for _, l := range tail {
		if complaint().MatchString(cutAt(l, maxSignatureLine)) {
			all = append(all, l)
		}
	}
	if len(all) > 0 {
		return all
	}
	return tail[max(0, len(tail)-maxSignatureLines+1):]
}

var complaint = pattern(`(?i)\b(?:error|err|fail|failed|failure|fatal|panic|exception|traceback|assert\w*|expected|want|denied|refused|undefined|cannot|can't|could not|no such|not found|missing|timed? ?out|killed|aborted)\b|\w(?:Error|Exception)\b`)

// masks are what is different each time: of two that begin at the same place the earlier is meant. What
// each is called in a signature stands beside it.
var masks = []struct{ name, pattern string }{
	{"<uuid>", `\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b`},
	{"<time>", `\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[ ]?[+-]\d\d:?\d\d)?)?\b`},
	{"<time>", `\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b`},
	{"<url>", `\b[a-z][a-z0-9+.-]*://[^\s"'<>)\]]*[^\s"'<>)\].,:;]`},
	{"<addr>", `\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\blocalhost:\d+\b|\[[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\]:\d+`},
	{"<addr>", `\b0[xX][0-9A-Fa-f]+\b`},
	{"<path>", `(?:[\w.+@%~-]*/)+[\w.+@%~-]*`},
	{"<tmp>", `(?i:\b(?:tmp|temp)[._-][\w.+@%~-]+)`},
	{"<duration>", `\b(?:\d+(?:[.,]\d+)?(?:ns|µs|us|ms|s|m|h)){1,4}\b|\b\d+(?:[.,]\d+)? ?(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?)\b`},
	{"<hex>", `\b[0-9a-f]*(?:[0-9][a-f]|[a-f][0-9])[0-9a-f]{5,}\b`},
	{"<n>", `\d+(?:[.,]\d+)*`},
}

// masked finds any of the masks; group i+1 is masks[i].
var masked = sync.OnceValue(func() *regexp.Regexp {
	patterns := make([]string, len(masks))
	for i, m := range masks {
		patterns[i] = "(" + m.pattern + ")"
	}
	return regexp.MustCompile(strings.Join(patterns, "|"))
})

// colours are escape sequences (ECMA-48, CSI).
var colours = pattern(`\x1b\[[0-?]*[ -/]*[@-~]`)

// normalised is one line with everything masked, spaces run together and control characters gone.
func normalised(line string) string {
	line = strings.Join(strings.Fields(cutAt(printable(line), 4*maxSignatureLine)), " ")
	var b strings.Builder
	end := 0
	for _, at := range masked().FindAllStringSubmatchIndex(line, -1) {
		b.WriteString(line[end:at[0]])
		for i, m := range masks {
			if at[2+2*i] >= 0 {
				b.WriteString(m.name)
			}
		}
		end = at[1]
	}
	b.WriteString(line[end:])
	return cutAt(strings.TrimSpace(b.String()), maxSignatureLine)
}

// printable leaves out colours and control characters.
func printable(s string) string {
	s = colours().ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
}

// cutAt cuts a text at a number of bytes, between two characters.
func cutAt(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
