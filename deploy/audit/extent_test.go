package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"slipway/deploy/audit"
)

// A copy of the log's extent up to any event is a whole log that ends with it, while others append.
func TestExtent(t *testing.T) {
	dir := t.TempDir()
	head := threeDays(t, dir)
	for last := uint64(1); last <= head.Sequence; last++ {
		parts, end, err := audit.Extent(dir, last)
		if err != nil || end.Sequence != last {
			t.Fatalf("up to %d: head %v, %v", last, end, err)
		}
		to := t.TempDir()
		for _, p := range parts {
			b, err := os.ReadFile(filepath.Join(dir, p.Name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, p.Name), b[:p.Size], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if report := verify(t, to, end); !report.OK() || report.Head != end {
			t.Errorf("up to %d: %v, findings %v", last, report.Head, report.Findings)
		}
	}
	if _, _, err := audit.Extent(dir, head.Sequence+1); err == nil {
		t.Error("an event that is not there was found")
	}
}
