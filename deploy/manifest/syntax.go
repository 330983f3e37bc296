package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// syntaxPhrases say in plain words what the library says in those of the grammar.
var syntaxPhrases = []struct {
	library     *regexp.Regexp
	found, want string
}{
	{regexp.MustCompile(`^(basic|literal) strings cannot have new lines|^unterminated (basic|literal) string`), "a string is not closed on its line", "expected its second quote; a text of several lines stands between three quotes"},
	{regexp.MustCompile(`^unterminated multiline|^multiline (basic|literal) string not terminated`), "a text between three quotes is not closed", "expected three quotes at its end"},
	{regexp.MustCompile(`^array is incomplete`), "an array is not closed", "expected ]"},
	{regexp.MustCompile(`^inline table is incomplete`), "a table in braces is not closed", "expected }"},
	{regexp.MustCompile(`^expected ']' to close`), "the name of a section is not closed", "expected ]"},
	{regexp.MustCompile(`^expected value, not`), "a key has no value", `expected a value after =, such as "make test"`},
	{regexp.MustCompile(`^expected '=' after key`), "a key has no value", `expected key = "value"`},
}

// unexpectedCharacter is how the library names one byte, which may be part of a character.
var unexpectedCharacter = regexp.MustCompile(`U\+[0-9A-F]{4,}( '.*')?`)

// keyLine is a line that gives a value to a plain key.
var keyLine = regexp.MustCompile(`^\s*([A-Za-z0-9_.-]+)\s*=\s*(.*?)\s*$`)

// bareWord is a value that was surely meant to be a string: it begins as no TOML value does, or is a
// number with something after it.
var bareWord = regexp.MustCompile(`^[A-Za-z./$~*_-]|^[0-9]+[A-Za-z]`)

// bareValue finds the most frequent mistake of all, a string without quotes, in a line that the
// decoder refused.
func (s *source) bareValue(line int) (key, value string, ok bool) {
	m := keyLine.FindStringSubmatch(s.line(line))
	if m == nil || !bareWord.MatchString(m[2]) || strings.ContainsAny(m[2], `"'[{`) {
		return "", "", false
	}
	value = m[2]
	if before, _, comment := strings.Cut(value, " #"); comment {
		value = strings.TrimRight(before, " \t")
	}
	if value == "true" || value == "false" || value == "inf" || value == "nan" {
		return "", "", false
	}
	return m[1], value, true
}

// syntaxHint says what the line probably was meant to be.
func (s *source) syntaxHint(line int) string {
	text := strings.TrimSpace(s.line(line))
	switch {
	case strings.HasPrefix(text, "{") && line == 1:
		return "expected TOML, this looks like JSON"
	case strings.HasPrefix(text, "- "), text == "---", regexp.MustCompile(`^[\w-]+:(\s|$)`).MatchString(text):
		return `expected TOML, this looks like YAML: write [section] and key = "value"`
	case strings.HasPrefix(text, "<<<<<<<"), strings.HasPrefix(text, "======="), strings.HasPrefix(text, ">>>>>>>"):
		return "a merge conflict was committed here"
	case strings.HasPrefix(text, "//"), strings.HasPrefix(text, ";"):
		return "a comment begins with #"
	}
	return ""
}

// syntaxMistake notes why the text is not TOML, in words for somebody who may be new to it.
func (s *source) syntaxMistake(err error) {
	var d *toml.DecodeError
	if !errors.As(err, &d) {
		s.fail(0, 1, "it cannot be read as TOML", limit(strings.TrimPrefix(err.Error(), "toml: "), 160))
		return
	}
	line, column := d.Position()
	at := s.offset(line, column)
	found := strings.TrimPrefix(d.Error(), "toml: ")
	if key, value, ok := s.bareValue(line); ok {
		at = s.offset(line, strings.Index(s.line(line), "=")+1)
		at = s.valueStart(at)
		s.fail(at, len(value), fmt.Sprintf("the value of %s is not in quotes", short(key)), fmt.Sprintf("write %s = %s", short(key), quote(limit(value, 100))))
		return
	}
	hint := s.syntaxHint(line)
	for _, p := range syntaxPhrases {
		if p.library.MatchString(found) {
			found = p.found
			if hint == "" {
				hint = p.want
			}
			break
		}
	}
	if c, _ := utf8.DecodeRune(s.text[at:]); c >= utf8.RuneSelf {
		found = unexpectedCharacter.ReplaceAllLiteralString(found, strconv.QuoteRune(c))
	}
	s.fail(at, 1, limit(found, 160), hint)
}
