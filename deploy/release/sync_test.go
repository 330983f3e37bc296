package release

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEntriesOfATree(t *testing.T) {
	dir := t.TempDir()
	err := errors.Join(
		os.Mkdir(filepath.Join(dir, "bin"), 0o755),
		os.WriteFile(filepath.Join(dir, "bin", "app"), nil, 0o755),
		os.Symlink("/etc/passwd", filepath.Join(dir, "link")),
		unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644), // whoever opens it waits for the other end
		os.WriteFile(filepath.Join(dir, "slipway.toml"), nil, 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	want := []string{".", "bin", "bin/app", "slipway.toml"}
	if got, err := entries(root, len(want)); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if got, err := entries(root, len(want)-1); !errors.Is(err, errMany) {
		t.Errorf("%q, %v of at most %d", got, err, len(want)-1)
	}
	if err := syncTree(dir); err != nil {
		t.Error(err)
	}
	for i := range fewEntries {
		if err := os.WriteFile(filepath.Join(dir, "file"+string(rune('a'+i))), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syncTree(dir); err != nil {
		t.Errorf("of many files: %v", err)
	}
}
