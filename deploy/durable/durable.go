// Package durable brings files, and the names in folders, to disk: what it has returned from, a power cut
// does not undo (fsync(2): a file's name is on disk when its folder is). It knows nothing of what is in
// the files.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// NewSuffix ends the name of a file that is to take another one's place. One that a crash has left is used
// again by the next that is to; where none may come, whoever owns the other file removes it at the next start.
const NewSuffix = ".new"

// Replace puts content, mode 0600, in the place of the file at path. Whoever reads it finds the old or the new
// content whole, after a power cut too, and the new one once Replace has returned. The file on the way is
// called path.new; one that a crash has left is used again, and one that cannot be finished is removed.
func Replace(path string, content []byte) error {
	next := path + NewSuffix
	if err := Write(next, content); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return Sync(filepath.Dir(path))
}

// Write writes a file, mode 0600, over one that is there. Its content is on disk then, its name with the next
// [Sync] of its folder. A file that cannot be finished is removed.
func Write(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = f.Chmod(0o600)
	if err == nil {
		_, err = f.Write(content)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path) // the disk is full, as a rule; the error says what matters
	}
	return err
}

// Sync brings the content of files, and the names in folders, to disk.
func Sync(paths ...string) error {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// SyncFileSystem brings all to disk that was written to the file system on which path is, by whomever
// (syncfs(2)). For many files it is faster than [Sync] for each, and it waits for what others write there.
func SyncFileSystem(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// SyncDirs is [Sync] for folders that may be gone.
func SyncDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := Sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
