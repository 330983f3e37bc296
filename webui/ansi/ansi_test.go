package ansi_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"slipway/webui/ansi"
)

// A test runner's output, line by line: a style lasts until it is switched off, also over line ends.
func TestStory(t *testing.T) {
	var style ansi.Style
	for _, line := range []struct{ raw, html string }{
		{"ok  \tshop\t0.2s", "ok  \tshop\t0.2s"},
		{"\x1b[31m✗ total", `<span class="f1">✗ total</span>`},
		{"  got 3\x1b[0m, want 2", `<span class="f1">  got 3</span>, want 2`},
		{"\x1b[1;92mPASS\x1b[m done", `<span class="f10 bold">PASS</span> done`},
	} {
		var html string
		if html, style = ansi.Line(line.raw, style); html != line.html {
			t.Errorf("%q became\n%s\nwant\n%s", line.raw, html, line.html)
		}
	}
	if style != (ansi.Style{}) {
		t.Errorf("the style %+v is still on", style)
	}
}

func TestLine(t *testing.T) {
	for name, c := range map[string]struct{ raw, html string }{
		"escaped":               {`<script>alert("1")</script> & 'x'`, "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; &#39;x&#39;"},
		"in a style":            {"\x1b[4m<b>", `<span class="under">&lt;b&gt;</span>`},
		"carriage return":       {"10%\r50%\r100%", "100%"},
		"of a DOS line":         {"text\r", "text"},
		"cursor and clearing":   {"a\x1b[2J\x1b[10;20Hb\x1b[K", "ab"},
		"window title":          {"a\x1b]0;evil\x07b\x1b]8;;http://x\x1b\\c", "abc"},
		"string without end":    {"a\x1bPq#0", "a"},
		"two bytes":             {"a\x1b7b\x1b(Bc", "abc"},
		"escape at the end":     {"a\x1b", "a"},
		"sequence without end":  {"a\x1b[31", "a"},
		"broken sequence":       {"a\x1b[3\x01b", "ab"},
		"controls":              {"a\x00\x08\x0bb\x7f", "ab"},
		"C1":                    {"a\u009b31mb", "a31mb"},
		"no UTF-8":              {"a\xffb", "a\uFFFDb"},
		"reordered":             {"a\u202eb\u2066c", "abc"},
		"256 colours":           {"\x1b[38;5;196mx", `<span class="f1">x</span>`},
		"a grey":                {"\x1b[38;5;244mx", `<span class="f8">x</span>`},
		"RGB":                   {"\x1b[48;2;0;0;200mx", `<span class="b4">x</span>`},
		"RGB by colons":         {"\x1b[38:2:0:200:0mx", `<span class="f2">x</span>`},
		"inverse":               {"\x1b[7mx", `<span class="inverse">x</span>`},
		"inverse with a colour": {"\x1b[7;31mx", `<span class="b1">x</span>`},
		"back to plain":         {"\x1b[1;2;3;4;31;41mx\x1b[22;23;24;39;49my", `<span class="f1 b1 bold dim italic under">x</span>y`},
		"unknown code":          {"\x1b[99mx", "x"},
		"no number":             {"\x1b[?25lx\x1b[<1my", "xy"},
	} {
		t.Run(name, func(t *testing.T) {
			if html, _ := ansi.Line(c.raw, ansi.Style{}); html != c.html {
				t.Errorf("%q became\n%s\nwant\n%s", c.raw, html, c.html)
			}
		})
	}
}

func TestLongLineIsCut(t *testing.T) {
	html, _ := ansi.Line(strings.Repeat("é", 1<<20), ansi.Style{})
	if len(html) > ansi.MaxLine+200 || !strings.HasSuffix(html, "longer than 16 KiB</span>") {
		t.Errorf("a line of 2 MiB became %d bytes, ending %q", len(html), html[max(0, len(html)-60):])
	}
}

// A bomb of changing styles must not become a page of spans.
func TestBomb(t *testing.T) {
	html, _ := ansi.Line(strings.Repeat("\x1b[31m\x1b[32m", 1<<18), ansi.Style{})
	if html != `<span class="cut"> … cut here: the line is longer than 16 KiB</span>` {
		t.Errorf("a line of nothing but sequences became %d bytes", len(html))
	}
	html, _ = ansi.Line(strings.Repeat("\x1b[31mx\x1b[32my", 1<<16), ansi.Style{})
	if len(html) > 8*ansi.MaxLine {
		t.Errorf("16 KiB of changing styles became %d bytes", len(html))
	}
}

var tag = regexp.MustCompile(`<span class="[a-z0-9 ]+">|</span>`)

func FuzzLine(f *testing.F) {
	f.Add("\x1b[31m<b>\x1b[0m", int8(0))
	f.Add("\x1b]0;x\x07\x1b[38;5;1m\xff", int8(3))
	f.Fuzz(func(t *testing.T, raw string, colour int8) {
		html, _ := ansi.Line(raw, ansi.Style{Foreground: max(0, colour) % 17})
		rest := tag.ReplaceAllString(html, "")
		if strings.ContainsAny(rest, "<>\"'\x1b\r") || !utf8.ValidString(html) {
			t.Errorf("%q became %q", raw, html)
		}
		if strings.Count(html, "<span") != strings.Count(html, "</span>") {
			t.Errorf("%q became unbalanced %q", raw, html)
		}
	})
}
