package audit_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"slipway/deploy/audit"
)

// TestRaw: what is exported is what stands in the files, to the byte.
func TestRaw(t *testing.T) {
	dir := t.TempDir()
	head := threeDays(t, dir)
	for from, want := range map[uint64]string{
		1:  strings.Join(append(append(lines(t, dir, firstDay), lines(t, dir, secondDay)...), lines(t, dir, thirdDay)...), ""),
		7:  strings.Join(append(lines(t, dir, secondDay)[2:], lines(t, dir, thirdDay)...), ""),
		13: "",
	} {
		var got bytes.Buffer
		for raw, err := range audit.Raw(dir, from) {
			if err != nil {
				t.Fatal(err)
			}
			got.Write(raw)
		}
		if got.String() != want {
			t.Errorf("from %d:\n%s\nwant\n%s", from, &got, want)
		}
	}
	if got, err := audit.ReadHead(dir); err != nil || got != head {
		t.Errorf("the head read is %v, error %v; want %v", got, err, head)
	}
}

func TestFirstSince(t *testing.T) {
	dir := t.TempDir()
	threeDays(t, dir)
	var second time.Time
	for line, err := range audit.Lines(dir, 5) {
		if err != nil {
			t.Fatal(err)
		}
		second = line.RecordedAt
		break
	}
	for when, want := range map[time.Time]uint64{
		second.Add(-48 * time.Hour): 1, second: 5, second.Add(time.Microsecond): 9, second.Add(-time.Hour): 5, second.Add(48 * time.Hour): 13,
	} {
		if got, err := audit.FirstSince(dir, when); err != nil || got != want {
			t.Errorf("since %s: %d, error %v; want %d", when, got, err, want)
		}
	}
}

func TestFindHeads(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	got := audit.FindHeads("remote: accepted: http://x:80 serves 12\nremote: audit head 1234:" + hash + "\n" + hash + "\n7:" + hash)
	want := []audit.Head{{Sequence: 1234, Hash: hash}, {Sequence: 7, Hash: hash}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("found %v, want %v", got, want)
	}
}
