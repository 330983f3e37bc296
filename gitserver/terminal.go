package gitserver

import (
	"io"
	"sync"
	"unicode"
	"unicode/utf8"
)

// terminal passes text on to a stranger's terminal. Colours (SGR), newlines and tabs get through; of
// everything else that a terminal would obey, nothing: no cursor movement, no titles, no clipboard, no
// answers typed for the user, no letters that turn others around. It is safe for concurrent use.
type terminal struct {
	mu    sync.Mutex
	w     io.Writer
	state terminalState
	held  []byte // an escape sequence, or a rune, that has not ended
	out   []byte
}

type terminalState int

const (
	inText   terminalState = iota
	inEscape               // after ESC
	inCSI                  // after ESC [
	inString               // after ESC ] and others: until BEL, ESC \, or the line's end
	inRune                 // within a UTF-8 sequence
)

const maxSequence = 64

func newTerminal(w io.Writer) *terminal { return &terminal{w: w} }

// Text returns a writer that passes text on to w without what a terminal would obey, colours excepted.
// It is safe for concurrent use.
func Text(w io.Writer) io.Writer { return newTerminal(w) }

// Write implements [io.Writer]. It reports all of p as written even where it left things out.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = t.out[:0]
	for _, c := range p {
		t.take(c)
	}
	if len(t.out) == 0 {
		return len(p), nil
	}
	if _, err := t.w.Write(t.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (t *terminal) take(c byte) {
	switch t.state {
	case inText:
		t.text(c)
	case inRune:
		t.rune(c)
	case inEscape:
		t.escape(c)
	case inCSI:
		t.csi(c)
	case inString:
		if c == 0x07 || c == '\n' {
			t.state = inText
		}
		if c == '\n' {
			t.out = append(t.out, c)
		}
		if c == 0x1b {
			t.state = inEscape // ESC \ ends it, and any other sequence too
		}
	}
}

func (t *terminal) text(c byte) {
	switch {
	case c == 0x1b:
		t.state = inEscape
	case c == '\n' || c == '\t' || ' ' <= c && c < 0x7f:
		t.out = append(t.out, c)
	case c >= utf8.RuneSelf:
		t.held = append(t.held[:0], c)
		t.state = inRune
		t.endRune()
	}
}

func (t *terminal) rune(c byte) {
	if utf8.RuneStart(c) { // the one before was cut short
		t.out = append(t.out, string(utf8.RuneError)...)
		t.state = inText
		t.text(c)
		return
	}
	t.held = append(t.held, c)
	t.endRune()
}

func (t *terminal) endRune() {
	if !utf8.FullRune(t.held) {
		return
	}
	t.state = inText
	if r, _ := utf8.DecodeRune(t.held); unicode.IsPrint(r) || unicode.IsSpace(r) && !unicode.IsControl(r) || r == '\u200d' {
		t.out = utf8.AppendRune(t.out, r)
	}
}

func (t *terminal) escape(c byte) {
	switch {
	case c == '[':
		t.held = append(t.held[:0], 0x1b, '[')
		t.state = inCSI
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		t.state = inString
	case c == 0x1b || 0x20 <= c && c <= 0x2f: // another escape, or an intermediate byte
	default:
		t.state = inText
		if c == '\n' {
			t.out = append(t.out, c)
		}
	}
}

func (t *terminal) csi(c byte) {
	switch {
	case 0x20 <= c && c <= 0x3f:
		if len(t.held) <= maxSequence {
			t.held = append(t.held, c)
		}
	case c == 0x1b:
		t.state = inEscape
	default:
		t.state = inText
		if c == '\n' {
			t.out = append(t.out, c)
		}
		if c == 'm' && isColour(t.held[2:]) {
			t.out = append(append(t.out, t.held...), c)
		}
	}
}

// isColour tells whether the parameters of a sequence that ends in m are those of SGR: others that
// end so (ESC [ > … m) set up keyboards.
func isColour(parameters []byte) bool {
	for _, c := range parameters {
		if (c < '0' || c > '9') && c != ';' && c != ':' {
			return false
		}
	}
	return len(parameters) < maxSequence-2
}
