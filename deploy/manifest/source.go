package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/deploy"
)

// maxMistakes bounds how many mistakes are told at once.
const maxMistakes = 20

// source is a text that people wrote, with what is wrong in it.
type source struct {
	name     string
	text     []byte
	mistakes []mistake
}

// mistake is one thing wrong in a source.
type mistake struct {
	at    int    // byte offset
	width int    // bytes to underline
	found string // unknown key "tiemout" in [build]
	want  string // did you mean "timeout"?
}

// fail notes a mistake at n's key or, if it has none, its value.
func (s *source) fail(at, width int, found, want string) {
	s.mistakes = append(s.mistakes, mistake{at: at, width: width, found: found, want: want})
}

// err returns a rejection that tells every mistake in the order of the text, or nil: the first as its
// message, with the line it is in as its hint, the others as its tail.
func (s *source) err() error {
	if len(s.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(s.mistakes, func(a, b mistake) int { return cmp.Compare(a.at, b.at) })
	first := s.mistakes[0]
	r := &deploy.Rejection{
		Code:    deploy.CodeManifest,
		Message: s.tell(first),
		Hint:    s.excerpt(first),
		Line:    s.place(first.at) + ": " + first.found,
	}
	for i, m := range s.mistakes[1:] {
		if i+1 == maxMistakes {
			r.Tail = append(r.Tail, fmt.Sprintf("and %d more", len(s.mistakes)-maxMistakes))
			break
		}
		r.Tail = append(r.Tail, s.tell(m))
	}
	return r
}

func (s *source) tell(m mistake) string {
	t := s.place(m.at) + ": " + m.found
	if m.want != "" {
		t += "; " + m.want
	}
	return t
}

// place says where an offset is, as editors and compilers write it.
func (s *source) place(at int) string {
	line, column := s.position(at)
	return fmt.Sprintf("%s:%d:%d", s.name, line, column)
}

// position counts lines and, within one, characters, both from 1.
func (s *source) position(at int) (line, column int) {
	at = min(max(at, 0), len(s.text))
	before := s.text[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}

// excerpt shows the line of a mistake with its place underlined.
func (s *source) excerpt(m mistake) string {
	const before, after = 60, 40 // characters shown around the place
	line, column := s.position(m.at)
	text := []rune(s.line(line))
	if len(text) == 0 {
		return ""
	}
	column = min(column-1, len(text))
	from, to := max(0, column-before), min(len(text), column+after)
	for i, c := range text {
		if !unicode.IsPrint(c) {
			text[i] = ' ' // also a tab, so that the caret stands below its place
		}
	}
	width := utf8.RuneCount(s.text[min(m.at, len(s.text)):min(m.at+m.width, len(s.text))])
	width = max(1, min(width, to-column))
	number := fmt.Sprint(line)
	return fmt.Sprintf("%s | %s\n%s | %s%s",
		number, strings.TrimRight(string(text[from:to]), " "),
		strings.Repeat(" ", len(number)), strings.Repeat(" ", column-from), strings.Repeat("^", width))
}

// line returns a line, counted from 1, without its end.
func (s *source) line(number int) string {
	rest := s.text
	for ; number > 1; number-- {
		_, rest, _ = bytes.Cut(rest, []byte{'\n'})
	}
	line, _, _ := bytes.Cut(rest, []byte{'\n'})
	return strings.ToValidUTF8(strings.TrimSuffix(string(line), "\r"), "?")
}
