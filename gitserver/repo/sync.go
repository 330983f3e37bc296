package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const errNotEmpty = syscall.ENOTEMPTY

// syncDirs puts the entries of folders on disk. Folders that are gone are no error.
func syncDirs(dirs ...string) error {
	for _, dir := range dirs {
		err := syncPath(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// syncTree puts every file and folder of a small tree on disk.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(path)
	})
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
