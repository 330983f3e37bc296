package webui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func numbers(blocks [][]Line) []int {
	var all []int
	for _, b := range blocks {
		for _, l := range b {
			all = append(all, l.Number)
		}
	}
	return all
}

// A page that is opened in the middle of a log shows its last lines; whoever follows gets the ones after
// them, none twice and none missing, also where a line was half written.
func TestOpenedInTheMiddle(t *testing.T) {
	log := "one\ntwo\nthree\nfo"
	e, err := last(strings.NewReader(log), int64(len(log)), 2, false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{3}, numbers(e.blocks)); d != "" || e.total != 4 {
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
			if d := cmp.Diff(want, numbers(e.blocks)); d != "" || e.total != 1000 || e.shown() != len(want) {
				t.Errorf("of %d lines %d: %s", e.total, e.shown(), d)
			}
			for _, block := range e.blocks {
				if len(block) > blockLines {
					t.Errorf("a block of %d lines", len(block))
				}
			}
		})
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
			if e.total != c.total || e.shown() != c.total {
				t.Errorf("%d lines, %d shown, want %d", e.total, e.shown(), c.total)
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
