// Package ansi turns a program's terminal output into safe HTML: colours and weights become classes, every
// other escape sequence and control character disappears, and what remains is escaped.
//
// It follows ECMA-48 for the shape of sequences, and the sixteen colours and four attributes of its SGR
// that test runners use. 256-colour and RGB codes are read and shown as the nearest of the sixteen, so that
// they are readable in light and in dark. It knows nothing of the product. Start reading at
// [Line].
package ansi

import (
	"strconv"
	"strings"
)

// Style is what an SGR sequence has switched on. The zero value is plain text.
type Style struct {
	Foreground int8 // 1 to 16 for colours 0 to 15; 0 for none
	Background int8
	Bold       bool
	Dim        bool
	Italic     bool
	Underline  bool
	Inverse    bool
}

// MaxLine is how many bytes of a line are shown. What is longer is cut, and says so.
const MaxLine = 16 << 10

// Line returns one line of output, without its newline, as HTML, and the style that the next line begins
// with. A carriage return shows what a terminal would after it: the last text. The result holds at most a
// span a change of style, and no attribute but class.
func Line(raw string, begin Style) (html string, end Style) {
	cut := len(raw) > MaxLine
	if cut {
		raw = strings.ToValidUTF8(raw[:MaxLine], "")
	}
	raw = strings.TrimSuffix(raw, "\r")
	w := writer{style: begin}
	for len(raw) > 0 {
		switch c := raw[0]; {
		case c == 0x1b:
			raw = w.escape(raw)
		case c == '\r':
			w.restart()
			raw = raw[1:]
		case c == '\t' || c >= 0x20 && c < 0x7f:
			n := printable(raw)
			w.text(raw[:n])
			raw = raw[n:]
		case c < 0x80:
			raw = raw[1:]
		default:
			n := beyondASCII(raw)
			w.text(visible(raw[:n]))
			raw = raw[n:]
		}
	}
	w.close()
	if cut {
		w.out.WriteString(`<span class="cut"> … cut here: the line is longer than 16 KiB</span>`)
	}
	return w.out.String(), w.style
}

func printable(s string) int {
	for i := range len(s) {
		if c := s[i]; c != '\t' && (c < 0x20 || c >= 0x7f) {
			return i
		}
	}
	return len(s)
}

func beyondASCII(s string) int {
	for i := range len(s) {
		if s[i] < 0x80 {
			return i
		}
	}
	return len(s)
}

// visible drops C1 controls and the characters that reorder text, which could make a line read as another.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// writer builds the HTML of a line.
type writer struct {
	out   strings.Builder
	style Style
	open  Style // of the span that is open
	in    bool  // a span is open
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

func (w *writer) text(s string) {
	if s == "" {
		return
	}
	if w.in && w.open != w.style {
		w.close()
	}
	if !w.in && w.style != (Style{}) {
		w.out.WriteString(`<span class="` + w.style.classes() + `">`)
		w.in, w.open = true, w.style
	}
	_, _ = escaper.WriteString(&w.out, s)
}

func (w *writer) close() {
	if w.in {
		w.out.WriteString("</span>")
		w.in = false
	}
}

func (w *writer) restart() {
	w.close()
	w.out.Reset()
}

// classes names the style for a stylesheet: f0 to f15, b0 to b15, and bold, dim, italic, under.
func (s Style) classes() string {
	f, b := s.Foreground, s.Background
	if s.Inverse {
		f, b = b, f
		if s.Foreground == 0 && s.Background == 0 {
			return strings.TrimSpace("inverse " + s.weights())
		}
	}
	var all []string
	if f != 0 {
		all = append(all, "f"+strconv.Itoa(int(f)-1))
	}
	if b != 0 {
		all = append(all, "b"+strconv.Itoa(int(b)-1))
	}
	if weights := s.weights(); weights != "" {
		all = append(all, weights)
	}
	return strings.Join(all, " ")
}

func (s Style) weights() string {
	var all []string
	for _, a := range []struct {
		on   bool
		name string
	}{{s.Bold, "bold"}, {s.Dim, "dim"}, {s.Italic, "italic"}, {s.Underline, "under"}} {
		if a.on {
			all = append(all, a.name)
		}
	}
	return strings.Join(all, " ")
}
