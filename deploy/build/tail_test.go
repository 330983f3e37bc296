package build

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTail(t *testing.T) {
	long := strings.Repeat("x", 499)
	tests := []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"unfinished line", "a\nb", []string{"a", "b"}},
		{"blank lines at both ends", "\n\n a \n\n\nb\n\n", []string{" a", "", "b"}},
		{"windows", "a\r\nb\r\n", []string{"a", "b"}},
		{"progress", "  1%\r 50%\r100%\ndone\n", []string{"100%", "done"}},
		{"colours", "\x1b[1;31mFAIL\x1b[0m x\n", []string{"FAIL x"}},
		{"title", "\x1b]0;evil\x07a\x1b]8;;http://x\x1b\\b\n", []string{"ab"}},
		{"device strings", "\x1bPq#0\x1b\\a\x1b_x\x1b\\b\x1b(Bc\x1b7d\n", []string{"abcd"}},
		{"eight-bit sequences", "a\u009b31mb\u009dtitle\u009cc\n", []string{"abc"}},
		{"torn sequence ends with its line", "\x1b]0;torn\ncause\n", []string{"cause"}},
		{"bell, backspace, null", "a\x07b\x08c\x00d\x7f\n", []string{"abcd"}},
		{"tab stays", "\ta.go:1\n", []string{"\ta.go:1"}},
		{"direction overrides", "a\u202eb\u2066c\u200fd\n", []string{"abcd"}},
		{"line separators", "a\u2028b\n", []string{"ab"}},
		{"not UTF-8", "a\xffb\xe2\x82\nc\xe2\n", []string{"a\ufffdb\ufffd", "c\ufffd"}},
		{"letters", "grün ✓ 世界\n", []string{"grün ✓ 世界"}},
		{"cut", long + "abc\nd\n", []string{long + "a", "d"}},
		{"cut between characters", long + "é!\n", []string{long}},
		{"cut, then overwritten", long + "abc\rnew\n", []string{"new"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var whole, bytes tail
			whole.Write([]byte(tt.in))
			for i := range len(tt.in) {
				bytes.Write([]byte{tt.in[i]})
			}
			if diff := cmp.Diff(tt.want, whole.Lines()); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, bytes.Lines()); diff != "" {
				t.Errorf("lines, byte by byte (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	var tl tail
	var want []string
	for i := range 1000 {
		fmt.Fprintf(&tl, "line %d\n", i)
		if i >= 980 {
			want = append(want, fmt.Sprintf("line %d", i))
		}
	}
	if diff := cmp.Diff(want, tl.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m\r\n\xe2\x82\xac\x9b"), 3)
	f.Add([]byte("\x1b]0;t\x07\xc2\x9b1mx"), 1)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var whole, parts tail
		whole.Write(in)
		if cut = max(0, min(cut, len(in))); true {
			parts.Write(in[:cut])
			parts.Write(in[cut:])
		}
		lines := whole.Lines()
		if diff := cmp.Diff(lines, parts.Lines()); diff != "" {
			t.Fatalf("split at %d (-whole +parts):\n%s", cut, diff)
		}
		if len(lines) > tailLines {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if len(l) > tailLineBytes || !utf8.ValidString(l) || strings.ContainsAny(l, "\x00\x07\x08\x1b\r\n\u009b\u202e") {
				t.Fatalf("line %q", l)
			}
		}
	})
}

func BenchmarkTail(b *testing.B) {
	p := []byte(strings.Repeat(strings.Repeat("y", 79)+"\n", 400))
	b.SetBytes(int64(len(p)))
	var t tail
	for b.Loop() {
		t.Write(p)
	}
}
