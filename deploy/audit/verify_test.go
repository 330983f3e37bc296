package audit_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deploy/audit"
)

const thirdDay = "2026-11-24.jsonl"

// threeDays writes four events on each of three days and returns the log's end.
func threeDays(t *testing.T, dir string) audit.Head {
	t.Helper()
	c := newClock()
	l := quick(t, dir, c)
	defer l.Close()
	for day := range 3 {
		add(t, l, 4*day+1, 4*day+4)
		c.move(24 * time.Hour)
	}
	return l.Head()
}

// lines is the content of a file of the log, line by line.
func lines(t *testing.T, dir, name string) []string {
	t.Helper()
	all := strings.SplitAfter(read(t, filepath.Join(dir, name)), "\n")
	return all[:len(all)-1]
}

func TestVerifyFindsWhatWasDone(t *testing.T) {
	// Each case changes the log; want is the place and kind of a finding. Events 1 to 4 stand in the
	// first file, 5 to 8 in the second, 9 to 12 in the third.
	change := func(name string, f func(l []string) []string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, name), strings.Join(f(lines(t, dir, name)), ""))
		}
	}
	edit := func(l string) string { return strings.Replace(l, `"outcome":"pass"`, `"outcome":"fail"`, 1) }
	tests := map[string]struct {
		do   func(t *testing.T, dir string)
		want string
	}{
		"a word edited": {change(secondDay, func(l []string) []string { l[1] = edit(l[1]); return l }),
			secondDay + ": line 2: edited"},
		"the last line of a file edited": {change(firstDay, func(l []string) []string { l[3] = edit(l[3]); return l }),
			firstDay + ": line 4: edited"},
		"the very first line edited": {change(firstDay, func(l []string) []string { l[0] = edit(l[0]); return l }),
			firstDay + ": line 1: edited"},
		"the very last line edited": {change(thirdDay, func(l []string) []string { l[3] = edit(l[3]); return l }),
			thirdDay + ": line 4: edited"},
		"a sequence edited": {change(secondDay, func(l []string) []string {
			l[1] = strings.Replace(l[1], `"sequence":6`, `"sequence":60`, 1)
			return l
		}), secondDay + ": line 2: edited"},
		"a space added": {change(secondDay, func(l []string) []string { l[2] = strings.Replace(l[2], "{", "{ ", 1); return l }),
			secondDay + ": line 3: edited"},
		"a line removed":       {change(secondDay, func(l []string) []string { return append(l[:1], l[2:]...) }), secondDay + ": line 2: removed"},
		"two lines removed":    {change(secondDay, func(l []string) []string { return append(l[:1], l[3:]...) }), secondDay + ": line 2: removed"},
		"a first line removed": {change(secondDay, func(l []string) []string { return l[1:] }), secondDay + ": line 1: removed"},
		"a file's end removed": {change(firstDay, func(l []string) []string { return l[:3] }), secondDay + ": line 1: removed"},
		"the log's end removed": {change(thirdDay, func(l []string) []string { return l[:2] }),
			thirdDay + ": line 2: cut"},
		"the log's beginning removed": {change(firstDay, func(l []string) []string { return l[2:] }), firstDay + ": line 1: removed"},
		"two lines swapped": {change(secondDay, func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }),
			secondDay + ": line 3: reordered"},
		"a line repeated":           {change(secondDay, func(l []string) []string { return append(l, l[3]) }), secondDay + ": line 5: reordered"},
		"a line cut in the middle":  {change(secondDay, func(l []string) []string { l[1] = l[1][:9] + "\n"; return l }), secondDay + ": line 2: unreadable"},
		"the last line torn":        {change(thirdDay, func(l []string) []string { l[3] = l[3][:9]; return l }), thirdDay + ": line 4: cut"},
		"a file's last line torn":   {change(firstDay, func(l []string) []string { l[3] = l[3][:9]; return l }), firstDay + ": line 4: unreadable"},
		"a newline removed":         {change(secondDay, func(l []string) []string { l[1] = strings.TrimSpace(l[1]); return l }), secondDay + ": line 2: unreadable"},
		"a line too long":           {change(secondDay, func(l []string) []string { l[1] = strings.Repeat("x", 1<<20) + "\n"; return l }), secondDay + ": line 2: unreadable"},
		"a file of noise":           {change(secondDay, func([]string) []string { return []string{"\x00\xff\n\n\x01"} }), secondDay + ": line 1: unreadable"},
		"a file emptied":            {change(secondDay, func([]string) []string { return nil }), thirdDay + ": line 1: removed"},
		"a file missing":            {func(t *testing.T, dir string) { remove(t, dir, secondDay) }, thirdDay + ": line 1: removed"},
		"the first file missing":    {func(t *testing.T, dir string) { remove(t, dir, firstDay) }, secondDay + ": line 1: removed"},
		"the last file missing":     {func(t *testing.T, dir string) { remove(t, dir, thirdDay) }, secondDay + ": line 4: cut"},
		"every file missing":        {func(t *testing.T, dir string) { remove(t, dir, firstDay, secondDay, thirdDay) }, "the log: cut"},
		"a file renamed":            {func(t *testing.T, dir string) { rename(t, dir, secondDay, "2026-11-25.jsonl") }, thirdDay + ": line 1: file"},
		"a file renamed to another": {func(t *testing.T, dir string) { rename(t, dir, secondDay, "old.jsonl") }, "old.jsonl: file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			head := threeDays(t, dir)
			if report := verify(t, dir, head); !report.OK() {
				t.Fatalf("before: %v", report.Findings)
			}
			test.do(t, dir)
			known := []audit.Head{head}
			report := verify(t, dir, known...)
			if report.OK() {
				t.Fatal("nothing was found")
			}
			if again := verify(t, dir, known...); len(again.Findings) != len(report.Findings) {
				t.Errorf("a second look finds %q after %q", again.Findings, report.Findings)
			}
			if !slices.ContainsFunc(report.Findings, func(f audit.Finding) bool {
				return strings.HasPrefix(f.String(), test.want+": ")
			}) {
				t.Errorf("found %q, want %q", report.Findings, test.want)
			}
		})
	}
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyFindsEveryFlippedBit flips a bit in each byte of a log, one after the other.
func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	l := quick(t, dir, c)
	add(t, l, 1, 3)
	head := l.Head()
	l.Close()
	path := filepath.Join(dir, firstDay)
	whole := read(t, path)
	line := 1
	for i := range len(whole) {
		b := []byte(whole)
		b[i] ^= 1
		write(t, path, string(b))
		report := verify(t, dir, head)
		if report.OK() {
			t.Fatalf("nothing was found with byte %d (%q) flipped", i, whole[i])
		}
		if got := report.Findings[0].Line; got < line-1 || got > line+1 {
			t.Errorf("byte %d of line %d flipped: found %v", i, line, report.Findings[0])
		}
		if whole[i] == '\n' {
			line++
		}
	}
}

func TestVerifyWithoutAHead(t *testing.T) {
	dir := t.TempDir()
	if report := verify(t, dir); !report.OK() || report.Events != 0 {
		t.Errorf("an empty log: %+v", report)
	}
	head := threeDays(t, dir)
	remove(t, dir, thirdDay)
	report := verify(t, dir)
	if !report.OK() || report.Head.Sequence != 8 {
		t.Errorf("a log whose last file is gone: %+v; only a head can show that", report)
	}
	if report := verify(t, dir, head); report.OK() {
		t.Error("not even a head showed it")
	}
}

func TestHeadText(t *testing.T) {
	head := threeDays(t, t.TempDir())
	got, err := audit.ParseHead(head.String())
	if err != nil || got != head {
		t.Errorf("%q was read as %v, error %v", head, got, err)
	}
	for _, bad := range []string{"", "1", "1:", ":" + head.Hash, "x:" + head.Hash, "1:abc", "-1:" + head.Hash} {
		if _, err := audit.ParseHead(bad); err == nil {
			t.Errorf("%q was read as a head", bad)
		}
	}
}
