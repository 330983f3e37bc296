package mask

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"net/url"
	"strings"
)

const (
	shortest        = 4   // of what is looked for, in bytes
	shortestEncoded = 8   // of what is looked for in another form
	piece           = 64  // of a long value
	longestWhole    = 128 // longer ones are looked for in pieces
)

// forms are the texts by which a value is found. None of them is shorter than shortest, longer than
// longestWhole, or begins with a newline: so a line's end is never kept back.
func forms(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		var all []string
		whole := strings.TrimSpace(value) // a value of blanks would be found everywhere
		if strings.Contains(whole, "\n") && len(whole) <= longestWhole {
			all = append(all, whole) // its lines may be too short
		}
		for line := range strings.Lines(whole) {
			line = strings.TrimSpace(line)
			all = append(all, line)
			all = append(all, longEnough(written(line))...)
		}
		all = append(all, longEnough(encoded(value))...)
		for _, text := range all {
			for p := range pieces(text) {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// pieces cuts a long text. The last piece is longer rather than short.
func pieces(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(text) > longestWhole {
			if !yield(text[:piece]) {
				return
			}
			text = text[piece:]
		}
		if len(text) >= shortest && text[0] != '\n' {
			yield(text)
		}
	}
}

// written is a line as it stands in JSON and in URLs.
func written(line string) []string {
	forms := []string{url.QueryEscape(line), url.PathEscape(line)}
	if b, err := json.Marshal(line); err == nil {
		forms = append(forms, string(b[1:len(b)-1]))
	}
	return forms
}

// encoded is a value in base64: after any number of other bytes, so at each of the three places where it
// can begin, without the digits that depend on what stands around it.
func encoded(value string) []string {
	var forms []string
	for shift := range 3 {
		digits := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + value))
		first := (shift*8 + 5) / 6
		last := (shift + len(value)) * 8 / 6
		if last <= first {
			continue
		}
		digits = digits[first:last]
		forms = append(forms, digits, strings.NewReplacer("+", "-", "/", "_").Replace(digits))
	}
	return forms
}

func longEnough(forms []string) []string {
	var kept []string
	for _, f := range forms {
		if len(f) >= shortestEncoded {
			kept = append(kept, f)
		}
	}
	return kept
}
