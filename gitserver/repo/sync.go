package repo

import (
	"io/fs"
	"path/filepath"
	"syscall"

	"slipway/deploy/durable"
)

const errNotEmpty = syscall.ENOTEMPTY

// syncTree puts every file and folder of a small tree on disk.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return durable.Sync(path)
	})
}
