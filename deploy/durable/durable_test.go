package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, content := range []string{"a long first one", "second"} {
		if err := Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		want(t, path, content)
	}
	// A crash has left a file on the way, which others may read.
	if err := os.WriteFile(path+NewSuffix, []byte("half of something longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("third")); err != nil {
		t.Fatal(err)
	}
	want(t, path, "third")
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("in the folder: %v, %v", names, err)
	}
}

// A link in the place of the file on the way leads nowhere.
func TestReplaceFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	other, path := filepath.Join(dir, "other"), filepath.Join(dir, "state")
	if err := errors.Join(os.WriteFile(other, []byte("other"), 0o600), os.Symlink(other, path+NewSuffix)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("mine")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("error %v", err)
	}
	want(t, other, "other")
}

// Where there is no room the old file stays, and nothing else does.
func TestReplaceWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := Replace(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	limitFileSize(t, 4096)
	if err := Replace(path, []byte(strings.Repeat("x", 8192))); !errors.Is(err, unix.EFBIG) {
		t.Errorf("error %v", err)
	}
	want(t, path, "old")
	if _, err := os.Lstat(path + NewSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file on the way: %v", err)
	}
}

func TestSync(t *testing.T) {
	dir := t.TempDir()
	file, gone := filepath.Join(dir, "file"), filepath.Join(dir, "gone")
	if err := Write(file, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Sync(file, dir), SyncDirs(gone, dir), SyncFileSystem(file), SyncFileSystem(dir)); err != nil {
		t.Error(err)
	}
	for _, sync := range []func() error{func() error { return Sync(gone) }, func() error { return SyncFileSystem(gone) }} {
		if err := sync(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of a file that is gone: %v", err)
		}
	}
}

func want(t *testing.T, path, content string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || string(b) != content {
		t.Errorf("%s: %q, %v; want %q", path, b, err, content)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want mode 0600", path, info, err)
	}
}

// limitFileSize lets this process write no larger files until the test's end.
func limitFileSize(t *testing.T, most uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	})
}
