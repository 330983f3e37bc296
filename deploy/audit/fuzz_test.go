package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"slipway/deploy/audit"
)

// FuzzFile opens and verifies a log with any bytes in its file. A log that opens takes events, and one
// that verified before still does with them.
func FuzzFile(f *testing.F) {
	dir := f.TempDir()
	l, err := audit.OpenUnsynced(dir, config(newClock()))
	if err != nil {
		f.Fatal(err)
	}
	for n := range 3 {
		if _, err := l.Append(f.Context(), event(n)); err != nil {
			f.Fatal(err)
		}
	}
	l.Close()
	whole, err := os.ReadFile(filepath.Join(dir, firstDay))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append(whole[:len(whole):len(whole)], "{}\n"...))
	f.Add([]byte("\n\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, firstDay), string(content))
		before := verify(t, dir)
		for _, err := range audit.Lines(dir, 1) {
			if err != nil && before.OK() {
				t.Errorf("the log verifies, and cannot be read: %v", err)
			}
		}
		l, err := audit.OpenUnsynced(dir, config(newClock()))
		if err != nil {
			if before.OK() {
				t.Errorf("the log verifies, and cannot be opened: %v", err)
			}
			return
		}
		defer l.Close()
		add(t, l, 1, 2)
		after := verify(t, dir, l.Head())
		if before.OK() && !after.OK() {
			t.Errorf("it verified before: %v", after.Findings)
		}
	})
}
