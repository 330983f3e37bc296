package release

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sync/errgroup"

	"slipway/deploy/durable"
)

const (
	// fewEntries is how many files and folders of a tree are synced one by one.
	fewEntries = 32
	// syncsAtOnce is how many of them beside each other, of which the file system makes one.
	syncsAtOnce = 8
)

// syncTree brings a tree to disk. One call for the whole file system costs less than one for each of
// 100,000 files, but it waits for what others have written there: on a busy machine a hundred milliseconds
// for a tree of three files.
func syncTree(tree string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	few, err := entries(root, fewEntries)
	if err == nil {
		var g errgroup.Group
		g.SetLimit(syncsAtOnce)
		for _, name := range few {
			g.Go(func() error { return syncEntry(root, name) })
		}
		err = g.Wait()
	}
	if errors.Is(err, errMany) || errors.Is(err, fs.ErrPermission) { // a server that is not root cannot open all
		return durable.SyncFileSystem(tree)
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

// replaceFile writes a file, mode 0600, in one step, so that whoever reads it finds the old or the new
// one whole.
func replaceFile(path string, b []byte) error {
	if err := os.WriteFile(path+durable.NewSuffix, b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+durable.NewSuffix, path)
}
