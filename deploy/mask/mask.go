// Package mask keeps secrets out of logs: it replaces each value that it is told of by its name in
// brackets, in text that comes in pieces of any size.
//
//	connecting to postgres://shop:[PASSWORD]@db/shop
//
// A value is found as it is; in base64, wherever in the encoded text it stands; and as it is written
// in JSON and in URLs. Of a value of several lines each line is found by itself, and of a long one each
// piece of 64 bytes, so that it is also found where something was put between, or cut off. What is shorter
// than four bytes is not looked for: it would be found everywhere.
//
// It saves people from accidents. It is no wall: whoever wants to print a value can spell it so that
// nobody finds it. The package knows nothing of who has which secrets. Start reading at [New], then
// [Mask.Writer].
package mask

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"slices"
	"strings"
)

// Mask knows what to replace. It does not change, and is safe for concurrent use. A nil Mask replaces
// nothing.
type Mask struct {
	begins  [1 << 16]bool         // by the first two bytes of a pattern
	first   [1 << 8]bool          // by the first byte
	byStart map[[4]byte][]pattern // by the first four; the longest first
	longest int
}

// pattern is text to replace by the name.
type pattern struct{ text, name string }

// New makes a mask of values by their names. Where two names have the same value, the first in order
// is shown.
func New(values map[string]string) *Mask {
	m := &Mask{byStart: make(map[[4]byte][]pattern)}
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for text := range forms(values[name]) {
			if !seen[text] {
				seen[text] = true
				m.add(pattern{text: text, name: name})
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	for _, of := range m.byStart {
		slices.SortFunc(of, func(a, b pattern) int { return cmp.Compare(len(b.text), len(a.text)) })
	}
	return m
}

func (m *Mask) add(p pattern) {
	m.first[p.text[0]] = true
	m.begins[pair(p.text[0], p.text[1])] = true
	start := [4]byte([]byte(p.text[:4]))
	m.byStart[start] = append(m.byStart[start], p)
	m.longest = max(m.longest, len(p.text))
}

func pair(a, b byte) int { return int(a)<<8 | int(b) }

// plain is how many bytes at the beginning of b surely begin no pattern.
func (m *Mask) plain(b []byte) int {
	for i := range len(b) - 1 {
		if m.begins[pair(b[i], b[i+1])] {
			return i
		}
	}
	return max(0, len(b)-1)
}

// match returns the longest pattern at the beginning of b, and whether more of b could make one that is
// longer still, or the first.
func (m *Mask) match(b []byte) (found pattern, open bool) {
	switch {
	case len(b) > 1 && !m.begins[pair(b[0], b[1])], !m.first[b[0]]:
		return pattern{}, false
	case len(b) < 4:
		return pattern{}, true
	}
	for _, p := range m.byStart[[4]byte(b)] {
		if len(p.text) > len(b) {
			open = open || strings.HasPrefix(p.text, string(b))
			continue
		}
		if string(b[:len(p.text)]) == p.text {
			return p, open
		}
	}
	return pattern{}, open
}

// String returns s with every value replaced.
func (m *Mask) String(s string) string {
	if m == nil {
		return s
	}
	var b bytes.Buffer
	w := m.Writer(&b)
	_, _ = io.WriteString(w, s) // a buffer takes everything
	_ = w.Close()
	return b.String()
}

// Strings returns all with every value replaced in each.
func (m *Mask) Strings(all []string) []string {
	masked := make([]string, len(all))
	for i, s := range all {
		masked[i] = m.String(s)
	}
	return masked
}
