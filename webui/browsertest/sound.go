package browsertest

import _ "embed"

//go:embed sound.js
var sound string

// Sound holds the page against the rules for every page: it is no wider than its window, has one h1 and the
// landmarks, every control has a name, every picture too, and text stands out from its ground by 4.5 to 1
// (https://www.w3.org/TR/WCAG22/).
func (b *Tab) Sound(what string) {
	b.t.Helper()
	for _, fault := range Value[[]string](b, sound) {
		b.t.Errorf("%s: %s", what, fault)
	}
}
