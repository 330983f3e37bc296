package main

import (
	"strings"
	"testing"
)

func TestBefore(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"2.28.9", "2.29", true}, {"2.29", "2.29", false}, {"2.29.1", "2.29", false}, {"2.39.5", "2.29", false},
		{"2.9", "2.29", true}, {"1.99", "2.29", true}, {"3", "2.29", false}, {"2", "2.29", true},
		{"2.39.5.windows.1", "2.29", false}, {"unknown", "2.29", false},
	} {
		if got := before(c.a, c.b); got != c.want {
			t.Errorf("before(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestFindingPrint(t *testing.T) {
	var b strings.Builder
	well("git", "%s", "2.39.5").print(&b)
	ill("sandbox", "it does not work\ninstall it: apt-get install bubblewrap", "until then every push is refused").print(&b)
	want := "✓ git              2.39.5\n" +
		"✗ sandbox          it does not work\n" +
		"    install it: apt-get install bubblewrap\n" +
		"    until then every push is refused\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
