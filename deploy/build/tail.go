package build

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a rejection shows of the failing output.
const (
	tailLines     = 20
	tailLineBytes = 500
)

// tail keeps the last lines of a stream of bytes, fit for anybody's terminal: no escape sequences, no
// control or bidirectional formatting characters, valid UTF-8, no run of blank lines. What a carriage
// return overwrote is gone, as on a screen. It holds a bounded number of bytes whatever is written.
// It is for one goroutine at a time; its zero value is ready.
type tail struct {
	ring  [tailLines]string
	count int // lines added so far

	line  []byte // the line being written, at most tailLineBytes
	full  bool   // line was cut; the rest of it is dropped
	wiped bool   // a carriage return came: the next character starts the line again
	gap   bool   // blank lines came since the last line

	escape  escape
	partial [utf8.UTFMax]byte // a character of which only some bytes came
	have    int
}

// escape is where in an escape sequence (ECMA-48) the stream is.
type escape byte

const (
	escapeNone  escape = iota
	escapeStart        // after ESC
	escapeCSI          // parameters, ended by @ to ~
	escapeText         // a string, ended by BEL or ESC \
	escapeEnd          // after ESC within a string
)

// Write adds p to the stream. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if plain := t.plain(p); plain > 0 {
			t.add(p[:plain])
			p = p[plain:]
			continue
		}
		t.octet(p[0])
		p = p[1:]
	}
	return n, nil
}

// plain is how many bytes at the beginning of p are ordinary characters of one byte, which need no
// closer look.
func (t *tail) plain(p []byte) int {
	if t.escape != escapeNone || t.have > 0 {
		return 0
	}
	for i, b := range p {
		if (b < ' ' && b != '\t') || b >= 0x7f {
			return i
		}
	}
	return len(p)
}

func (t *tail) octet(b byte) {
	if b < utf8.RuneSelf {
		t.flush()
		t.ascii(b)
		return
	}
	t.partial[t.have] = b
	t.have++
	if utf8.FullRune(t.partial[:t.have]) || t.have == utf8.UTFMax {
		t.flush()
	}
}

// flush takes in the bytes that wait for the rest of their character, as far as it has come.
func (t *tail) flush() {
	for rest := t.partial[:t.have]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 && !utf8.FullRune(rest) {
			n = len(rest)
		}
		t.character(r)
		rest = rest[n:]
	}
	t.have = 0
}

func (t *tail) ascii(b byte) {
	if b == '\n' { // ends a sequence too, so that a torn one cannot swallow what follows
		t.escape = escapeNone
		t.endLine()
		return
	}
	if t.escape != escapeNone || b == 0x1b {
		t.escaped(b)
		return
	}
	switch {
	case b == '\r':
		t.wiped = true
	case b >= ' ' && b != 0x7f || b == '\t':
		t.add([]byte{b})
	}
}

// escaped takes in a byte of an escape sequence.
func (t *tail) escaped(b byte) {
	switch t.escape {
	case escapeNone:
		t.escape = escapeStart
	case escapeStart:
		switch {
		case b == '[':
			t.escape = escapeCSI
		case strings.IndexByte("]PX^_", b) >= 0:
			t.escape = escapeText
		case b < ' ' || b > '/': // not an intermediate byte
			t.escape = escapeNone
		}
	case escapeCSI:
		if b >= '@' && b <= '~' {
			t.escape = escapeNone
		}
	case escapeText:
		switch b {
		case 0x1b:
			t.escape = escapeEnd
		case 0x07:
			t.escape = escapeNone
		}
	case escapeEnd:
		t.escape = escapeText
		if b == '\\' {
			t.escape = escapeNone
		}
	}
}

// character takes in a character beyond ASCII.
func (t *tail) character(r rune) {
	switch {
	case r == 0x9b:
		t.escape = escapeCSI
	case r == 0x90 || r == 0x98 || r == 0x9d || r == 0x9e || r == 0x9f:
		t.escape = escapeText
	case r == 0x9c:
		t.escape = escapeNone
	case t.escape != escapeNone, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
	default:
		t.add(utf8.AppendRune(nil, r))
	}
}

// add appends one character, or several of one byte, as far as there is room.
func (t *tail) add(s []byte) {
	if t.wiped {
		t.line, t.full, t.wiped = t.line[:0], false, false
	}
	if t.full {
		return
	}
	room := tailLineBytes - len(t.line)
	if t.full = len(s) > room; t.full {
		if s[0] >= utf8.RuneSelf {
			return
		}
		s = s[:room]
	}
	t.line = append(t.line, s...)
}

func (t *tail) endLine() {
	s := strings.TrimRight(string(t.line), " \t")
	t.line, t.full, t.wiped = t.line[:0], false, false
	if s == "" {
		t.gap = t.count > 0
		return
	}
	if t.gap {
		t.push("")
	}
	t.gap = false
	t.push(s)
}

func (t *tail) push(s string) {
	t.ring[t.count%tailLines] = s
	t.count++
}

// Lines returns the last lines, oldest first, the unfinished one included. The first and the last are
// not blank.
func (t *tail) Lines() []string {
	t.flush()
	if len(t.line) > 0 {
		t.endLine()
	}
	var lines []string
	for i := max(0, t.count-tailLines); i < t.count; i++ {
		if s := t.ring[i%tailLines]; s != "" || len(lines) > 0 {
			lines = append(lines, s)
		}
	}
	return lines
}

// oneLine is s as the tail would show it, on one line.
func oneLine(s string) string {
	var t tail
	_, _ = t.Write([]byte(strings.ReplaceAll(s, "\n", " "))) // never fails
	return strings.Join(t.Lines(), " ")
}
