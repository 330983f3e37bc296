package release

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// fewEntries is how many files and folders of a tree are synced one by one.
const fewEntries = 32

// syncTree brings a tree to disk, in which nothing runs. One call for the whole file system costs less
// than one for each of 100,000 files, but it waits for what others have written there: on a busy machine
// a hundred milliseconds for a tree of three files.
func syncTree(root *os.Root, top *os.File) error {
	few, err := entries(root, fewEntries)
	for _, name := range few {
		if err == nil {
			err = syncEntry(root, name)
		}
	}
	if errors.Is(err, errMany) || errors.Is(err, fs.ErrPermission) { // a server that is not root cannot open all
		return unix.Syncfs(int(top.Fd()))
	}
	return err
}

// errMany says that a tree holds more than was asked for.
var errMany = errors.New("there are more")

// entries returns the files and folders of a tree. A link is on disk with its folder.
func entries(root *os.Root, most int) ([]string, error) {
	var all []string
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if len(all) == most {
			return errMany
		}
		if e.IsDir() || e.Type().IsRegular() {
			all = append(all, name)
		}
		return nil
	})
	return all, err
}

func syncEntry(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
