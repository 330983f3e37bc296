package webui

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func numbers(lines []Line) []int {
	var all []int
	for _, l := range lines {
		all = append(all, l.Number)
	}
	return all
}

// A page that is opened in the middle of a log shows its last lines, from the beginning of a block on; whoever follows gets the ones after
// them, none twice and none missing, also where a line was half written.
func TestOpenedInTheMiddle(t *testing.T) {
	log := "one\ntwo\nthree\nfo"
	e, err := last(strings.NewReader(log), int64(len(log)), 2, false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{1, 2, 3}, numbers(e.lines)); d != "" || e.total != 4 {
		t.Errorf("shown of %d: %s", e.total, d)
	}
	f := follower{offset: e.offset, next: e.next}
	log += "ur\nfive\nsi"
	var got []string
	for _, ended := range []bool{false, true} {
		lines, err := f.read(strings.NewReader(log), int64(len(log)), ended)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			got = append(got, fmt.Sprintf("%d %s", l.Number, l.HTML))
		}
	}
	if d := cmp.Diff([]string{"4 four", "5 five", "6 si"}, got); d != "" {
		t.Error(d)
	}
}

func TestWindow(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	for name, c := range map[string]struct{ first, count, from, to int }{
		"the beginning":    {1, 10, 1, 10},
		"the middle":       {500, 201, 500, 700},
		"past the end":     {990, 50, 990, 1000},
		"beyond all of it": {2000, 10, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := window(strings.NewReader(b.String()), int64(b.Len()), c.first, c.count, true)
			if err != nil {
				t.Fatal(err)
			}
			var want []int
			for i := c.from; i > 0 && i <= c.to; i++ {
				want = append(want, i)
			}
			if d := cmp.Diff(want, numbers(e.lines)); d != "" || e.total != 1000 || len(e.lines) != len(want) {
				t.Errorf("of %d lines %d: %s", e.total, len(e.lines), d)
			}
		})
	}
}

// Blocks begin at the same lines wherever what is read begins.
func TestBlocks(t *testing.T) {
	var all []Line
	for n := 150; n <= 420; n++ {
		all = append(all, Line{n, "x"})
	}
	var got []string
	for _, part := range regexp.MustCompile(`<ol id="[^"]*">|<li id="[^"]*">`).FindAllString(string(blocks("a&b", all)), -1) {
		if len(got) > 0 && strings.HasPrefix(part, "<li") && strings.HasPrefix(got[len(got)-1], "<li") {
			got[len(got)-1] = part // the last of a block
		} else {
			got = append(got, part)
		}
	}
	want := []string{`<ol id="a&amp;b/1">`, `<li id="a&amp;b:200">`, `<ol id="a&amp;b/201">`, `<li id="a&amp;b:400">`, `<ol id="a&amp;b/401">`, `<li id="a&amp;b:420">`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Each block of a log can be had by itself, wherever it lies in the file.
func TestBlock(t *testing.T) {
	var b strings.Builder
	for i := range 30_001 {
		fmt.Fprintf(&b, "line %d%s\n", i+1, strings.Repeat("x", i%97))
	}
	log := strings.TrimSuffix(b.String(), "\n")
	for first := 1; first <= 30_001; first += blockLines {
		lines, err := block(strings.NewReader(log), int64(len(log)), first)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range lines {
			if want := fmt.Sprintf("line %d%s", first+i, strings.Repeat("x", (first+i-1)%97)); l.Number != first+i || string(l.HTML) != want {
				t.Fatalf("line %d of the block at %d is %d, %q", i, first, l.Number, l.HTML)
			}
		}
		if want := min(blockLines, 30_001-first+1); len(lines) != want {
			t.Errorf("the block at %d has %d lines, want %d", first, len(lines), want)
		}
	}
	if lines, err := block(strings.NewReader(log), int64(len(log)), 30_201); len(lines) != 0 || err != nil {
		t.Errorf("behind the end: %v, %v", lines, err)
	}
}

func TestOddLogs(t *testing.T) {
	for name, c := range map[string]struct {
		log   string
		total int
	}{
		"empty":            {"", 0},
		"one newline":      {"\n", 1},
		"no newline":       {"a", 1},
		"a line of 1 MiB":  {strings.Repeat("x", 1<<20) + "\nnext\n", 2},
		"nothing but them": {"\n\n\n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := last(strings.NewReader(c.log), int64(len(c.log)), 100, true)
			if err != nil {
				t.Fatal(err)
			}
			if e.total != c.total || len(e.lines) != c.total {
				t.Errorf("%d lines, %d shown, want %d", e.total, len(e.lines), c.total)
			}
			f := follower{next: 1}
			lines, err := f.read(strings.NewReader(c.log), int64(len(c.log)), true)
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) != c.total || f.offset != int64(len(c.log)) {
				t.Errorf("followed %d lines to %d of %d bytes", len(lines), f.offset, len(c.log))
			}
		})
	}
}

func BenchmarkLastOf200000Lines(b *testing.B) {
	log := strings.Repeat("\x1b[32mok\x1b[0m  \tslipway/deploy/something\t0.123s with a line of common length\n", 200_000)
	for b.Loop() {
		if _, err := last(strings.NewReader(log), int64(len(log)), 1000, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWindowOf200000Lines(b *testing.B) {
	log := strings.Repeat("\x1b[32mok\x1b[0m  \tslipway/deploy/something\t0.123s with a line of common length\n", 200_000)
	for b.Loop() {
		if _, err := window(strings.NewReader(log), int64(len(log)), 100_000, windowLines, true); err != nil {
			b.Fatal(err)
		}
	}
}
