package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway/deploy"
	"slipway/deploy/owner"
)

// A cache folder of an app holds
//
//	home/      mounted at /cache, the HOME of every step: what go, npm and pip keep by themselves
//	tree/P     mounted over /app/P for each folder P of the manifest's cache, its slashes written %2F
//
// The sandbox can write inside home and inside each tree/P, but to neither cache itself nor tree, so a
// step cannot put a symbolic link where the next one's mount begins.
type cache struct {
	dir      string
	uid, gid int
}

func (c cache) home() string { return filepath.Join(c.dir, "home") }

func (c cache) folder(p string) string {
	return filepath.Join(c.dir, "tree", strings.NewReplacer("%", "%25", "/", "%2F").Replace(p))
}

// prepare makes the home if it is missing, and gives it to the sandbox's user.
func (c cache) prepare() error { return c.make(c.home()) }

func (c cache) make(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("making cache: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making cache: %w", err)
	}
	return owner.Give(dir, c.uid, c.gid)
}

// places makes the folders of names in the cache, and in the tree where they will be mounted if it may
// be changed (elsewhere mounting makes them), and returns those names that are to be mounted: sorted, none within another. Occupied are those which
// hide something of the tree.
func (c cache) places(tree string, names []string, change bool) (mounted, occupied []string, err error) {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, nil, fmt.Errorf("opening tree: %w", err)
	}
	defer root.Close()
	for _, name := range outermost(names) {
		if err := c.place(root, name, change); err != nil {
			return nil, nil, err
		}
		if err := c.make(c.folder(name)); err != nil {
			return nil, nil, err
		}
		if entries, err := fs.ReadDir(root.FS(), name); err == nil && len(entries) > 0 {
			occupied = append(occupied, name)
		}
		mounted = append(mounted, name)
	}
	return mounted, occupied, nil
}

// outermost are the cleaned names, sorted, without those that lie within another.
func outermost(names []string) []string {
	var all []string
	for _, n := range names {
		all = append(all, path.Clean(n))
	}
	slices.Sort(all)
	var out []string
	for _, n := range slices.Compact(all) {
		within := func(o string) bool { return strings.HasPrefix(n, o+"/") }
		if !slices.ContainsFunc(out, within) {
			out = append(out, n)
		}
	}
	return out
}

// place makes sure that name is a folder of the tree, each part of it: a symbolic link on the way
// could lead anywhere by the time it is mounted.
func (c cache) place(root *os.Root, name string, change bool) error {
	if !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, 0) {
		return deploy.Reject(deploy.CodeManifest, "cache folder %q is not a relative path below the work tree", name)
	}
	for i, r := range name + "/" {
		if r != '/' {
			continue
		}
		part := name[:i]
		info, err := root.Lstat(part)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !change:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			if err := c.mkdir(root, part); err != nil {
				return fmt.Errorf("making cache folder in the tree: %w", err)
			}
		case err != nil:
			return fmt.Errorf("looking for cache folder in the tree: %w", err)
		case info.Mode()&fs.ModeSymlink != 0:
			return deploy.Reject(deploy.CodeManifest, "cache folder %q: %s is a symbolic link in the work tree", name, part)
		case !info.IsDir():
			return deploy.Reject(deploy.CodeManifest, "cache folder %q: %s is a file in the work tree", name, part)
		}
	}
	return nil
}

// mkdir makes a folder of the tree. Another set may have made it at the same time.
func (c cache) mkdir(root *os.Root, name string) error {
	if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return root.Lchown(name, c.uid, c.gid)
}
