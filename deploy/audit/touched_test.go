package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slipway/deploy/audit"
)

// TestTouchedUnderneath: what is written to a file that is not in the folder any more is lost, so nothing
// is until the file is back as it was.
func TestTouchedUnderneath(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, path, content string){
		"removed":                func(t *testing.T, path, _ string) { remove(t, filepath.Dir(path), filepath.Base(path)) },
		"cut in its place":       func(t *testing.T, path, content string) { write(t, path, content[:len(content)-5]) },
		"replaced by an editor":  func(t *testing.T, path, content string) { rewrite(t, path, content[:len(content)-1]+" \n") },
		"edited in another line": func(t *testing.T, path, content string) { rewrite(t, path, "{ "+content[1:]) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := quick(t, dir, newClock())
			defer l.Close()
			add(t, l, 1, 3)
			path := filepath.Join(dir, firstDay)
			whole := read(t, path)
			do(t, path, whole)
			for range 2 {
				if _, err := l.Append(t.Context(), event(4)); !errors.Is(err, audit.ErrBroken) {
					t.Errorf("got %v, want %v", err, audit.ErrBroken)
				}
				if err := l.Repair(t.Context()); err == nil {
					t.Error("it was repaired by itself")
				}
			}
			rewrite(t, path, whole)
			if err := l.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			add(t, l, 5, 5)
			if report := verify(t, dir, l.Head()); !report.OK() || report.Events != 5 {
				t.Errorf("%d events, and found: %v", report.Events, report.Findings)
			}
		})
	}
}

// TestAddedUnderneath: what somebody else writes at the end is taken away, and that is recorded.
func TestAddedUnderneath(t *testing.T) {
	dir := t.TempDir()
	l := quick(t, dir, newClock())
	defer l.Close()
	add(t, l, 1, 3)
	path := filepath.Join(dir, firstDay)
	write(t, path, read(t, path)+"{}\n")
	if _, err := l.Append(t.Context(), event(4)); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("got %v, want %v", err, audit.ErrBroken)
	}
	if err := l.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, dir, l.Head()); !report.OK() || report.Events != 4 {
		t.Errorf("%d events, and found: %v", report.Events, report.Findings)
	}
}

// rewrite replaces a file by another, as editors do.
func rewrite(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
