// Package owner gives trees of files to another user, on whose behalf a sandbox then uses them. It
// follows no symbolic link and leaves no tree, whatever the tree holds. It knows nothing of Slipway.
// Start reading at [Give].
package owner

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Give gives everything below dir, and at last dir itself, to uid and gid. If dir belongs to uid already,
// all of it does, since dir comes last: then there is nothing to do.
func Give(dir string, uid, gid int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening tree: %w", err)
	}
	defer root.Close()
	info, err := root.Lstat(".")
	if err != nil {
		return fmt.Errorf("looking at the tree's owner: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
		return nil
	}
	for queue := []string{"."}; len(queue) > 0; queue = queue[1:] {
		sub, err := giveEntries(root, queue[0], uid, gid)
		if err != nil {
			return fmt.Errorf("giving the tree to the sandbox's user: %w", err)
		}
		queue = append(queue, sub...)
	}
	if err := root.Lchown(".", uid, gid); err != nil {
		return fmt.Errorf("giving the tree to the sandbox's user: %w", err)
	}
	return nil
}

// giveEntries gives away what is in the folder name of root and returns the folders among it. It opens
// the folder once and names its entries relative to it, which costs a tenth of walking to each.
func giveEntries(root *os.Root, name string, uid, gid int) ([]string, error) {
	folder, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	entries, err := fs.ReadDir(folder.FS(), ".")
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, e := range entries {
		if err := folder.Lchown(e.Name(), uid, gid); err != nil {
			return nil, err
		}
		if e.IsDir() {
			folders = append(folders, path.Join(name, e.Name()))
		}
	}
	return folders, nil
}

// GiveSome gives some paths below dir, slash-separated, and the folders that they are in, dir itself
// excepted, to uid and gid.
func GiveSome(dir string, paths []string, uid, gid int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening tree: %w", err)
	}
	defer root.Close()
	given := map[string]bool{".": true}
	for _, name := range paths {
		for ; !given[name]; name = path.Dir(name) {
			given[name] = true
			if err := root.Lchown(name, uid, gid); err != nil {
				return fmt.Errorf("giving the tree to the sandbox's user: %w", err)
			}
		}
	}
	return nil
}
