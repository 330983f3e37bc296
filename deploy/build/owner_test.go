package build

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func owner(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestOwnFollowsNoLink(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	outside := filepath.Join(t.TempDir(), "outside")
	tree := t.TempDir()
	deep := filepath.Join(tree, "a", "b", "c")
	for _, err := range []error{
		os.WriteFile(outside, nil, 0o600),
		os.MkdirAll(deep, 0o755),
		os.WriteFile(filepath.Join(deep, "file"), nil, 0o600),
		os.Symlink(outside, filepath.Join(tree, "link")),
		os.Symlink(filepath.Dir(outside), filepath.Join(tree, "a", "folder")),
		os.Symlink("missing", filepath.Join(tree, "dangling")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := own(tree, 200007, 200007); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{".", "a", "a/b/c", "a/b/c/file", "link", "a/folder", "dangling"} {
		if got := owner(t, filepath.Join(tree, p)); got != 200007 {
			t.Errorf("%s belongs to %d", p, got)
		}
	}
	for _, p := range []string{outside, filepath.Dir(outside)} {
		if got := owner(t, p); got != 0 {
			t.Errorf("%s, outside the tree, belongs to %d", p, got)
		}
	}
}

func TestOwnDoesNothingTwice(t *testing.T) {
	tree := t.TempDir()
	if err := own(tree, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	if err := own(filepath.Join(tree, "missing"), os.Getuid(), os.Getgid()); err == nil {
		t.Error("no error for a missing tree")
	}
}
