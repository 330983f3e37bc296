package owner_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"slipway/deploy/owner"
)

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestGiveFollowsNoLink(t *testing.T) {
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
	if err := owner.Give(tree, 200007, 200007); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{".", "a", "a/b/c", "a/b/c/file", "link", "a/folder", "dangling"} {
		if got := ownerOf(t, filepath.Join(tree, p)); got != 200007 {
			t.Errorf("%s belongs to %d", p, got)
		}
	}
	for _, p := range []string{outside, filepath.Dir(outside)} {
		if got := ownerOf(t, p); got != 0 {
			t.Errorf("%s, outside the tree, belongs to %d", p, got)
		}
	}
}

func TestGiveDoesNothingTwice(t *testing.T) {
	tree := t.TempDir()
	if err := owner.Give(tree, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	if err := owner.Give(filepath.Join(tree, "missing"), os.Getuid(), os.Getgid()); err == nil {
		t.Error("no error for a missing tree")
	}
}

func TestGiveSome(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	tree := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(tree, "a", "b"), 0o755),
		os.WriteFile(filepath.Join(tree, "a", "b", "new"), nil, 0o600),
		os.WriteFile(filepath.Join(tree, "a", "old"), nil, 0o600),
		os.Symlink("/etc/passwd", filepath.Join(tree, "link")),
		owner.GiveSome(tree, []string{"a/b/new", "link"}, 200007, 200007),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for p, want := range map[string]int{"a/b/new": 200007, "a/b": 200007, "a": 200007, "link": 200007, "a/old": 0, ".": 0} {
		if got := ownerOf(t, filepath.Join(tree, p)); got != want {
			t.Errorf("%s belongs to %d, want %d", p, got, want)
		}
	}
	if err := owner.GiveSome(tree, []string{"../out"}, 200007, 200007); err == nil {
		t.Error("no error for a path out of the tree")
	}
}
