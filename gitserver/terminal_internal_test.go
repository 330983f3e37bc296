package gitserver

import (
	"strings"
	"testing"
	"unicode"
)

func clean(parts ...string) string {
	var b strings.Builder
	w := newTerminal(&b)
	for _, p := range parts {
		_, _ = w.Write([]byte(p))
	}
	return b.String()
}

func TestTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain\n\ttext":                            "plain\n\ttext",
		"\x1b[31mred\x1b[0m":                       "\x1b[31mred\x1b[0m",
		"\x1b[38;2;1;2;3m\x1b[4:3mx":               "\x1b[38;2;1;2;3m\x1b[4:3mx",
		"\x1b[m":                                   "\x1b[m",
		"\x1b[>4;2mx":                              "x", // a keyboard mode, not a colour
		"\x1b[?25lx\x1b[2J\x1b[1;1H":               "x",
		"\x1b]0;title\x07x":                        "x",
		"\x1b]8;;http://evil\x1b\\x":               "x",
		"\x1b]52;c;ZXZpbA==\x07x":                  "x",
		"\x1bPq#0\x1b\\x":                          "x",
		"\x1b]never ends\nbut the line":            "\nbut the line",
		"\x1bcx\x1b7\x1b(0y":                       "xy",
		"10%\r20%\r\n":                             "10%20%\n",
		"bell\x07 back\x08space \x7f":              "bell backspace ",
		"grüße ✓ 日本 👩\u200d🚒":                      "grüße ✓ 日本 👩\u200d🚒",
		"\u009b2Jx\u0085y":                         "2Jxy",
		"\x9b2Jx":                                  "\ufffd2Jx",
		"a\u202eb\u2066c\u200ed":                   "abcd",
		"\xff\xfe\xc3":                             "\ufffd\ufffd",
		"\xc3(":                                    "\ufffd(",
		"\x1b[" + strings.Repeat("1;", 100) + "mx": "x",
		"\x1b\x1b[31mx":                            "\x1b[31mx",
		"\x1b[31\x1b[32mx":                         "\x1b[32mx",
		"\x1b[31\nx":                               "\nx",
		"no-break\u00a0space":                      "no-break\u00a0space",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got := clean(strings.SplitAfter(in, "")...); got != want && !strings.Contains(want, "\ufffd") {
			t.Errorf("%q in parts: %q, want %q", in, got, want)
		}
	}
}

// Nothing gets through but text, newlines, tabs and colours; what is clean stays as it is; and it does
// not matter how the bytes come in.
func FuzzTerminal(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\x1b]0;t\x07", 3)
	f.Add("gr\xc3\xbc\xc3\x9fe\x9b", 1)
	f.Fuzz(func(t *testing.T, in string, cut int) {
		out := clean(in)
		if again := clean(out); again != out {
			t.Errorf("%q: %q became %q", in, out, again)
		}
		cut = min(max(cut, 0), len(in))
		if parts := clean(in[:cut], in[cut:]); parts != out {
			t.Errorf("%q at %d: %q, in one piece %q", in, cut, parts, out)
		}
		rest := out
		for rest != "" {
			if after, ok := strings.CutPrefix(rest, "\x1b["); ok {
				end := strings.IndexByte(after, 'm')
				if end < 0 || strings.Trim(after[:end], "0123456789;:") != "" {
					t.Fatalf("%q: %q", in, out)
				}
				rest = after[end+1:]
				continue
			}
			r := []rune(rest)[0]
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Fatalf("%q: %q", in, out)
			}
			rest = rest[len(string(r)):]
		}
	})
}
