package store

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                       nil,
		"- % _":                                  {},
		`test set "unit" failed (exit status 1)`: {"1", "exit", "failed", "set", "status", "test", "unit"},
		"TestTotal test2json HTTPServer":         {"2", "httpserver", "json", "test", "test2json", "testtotal", "total"},
		"ÄNDERUNG im Café, naïve":                {"café", "im", "naïve", "änderung"},
		"cart_test.go:12":                        {"12", "cart", "go", "test"},
	} {
		if got := words(text); !slices.Equal(got, want) {
			t.Errorf("%q has the words %q, want %q", text, got, want)
		}
	}
	long := strings.Repeat("é", 100)
	if got := words(long); len(got) != 1 || len(got[0]) > wordLength || !utf8.ValidString(got[0]) || !slices.Equal(got, sought(long)) {
		t.Errorf("a long word is kept as %q and sought as %q", got, sought(long))
	}
	if got := words(strings.Repeat("aB1", 100_000), strings.Repeat("x ", 1000)+"y"); len(got) > wordsOfText {
		t.Errorf("%d words are kept of one text", len(got))
	}
}
