package checkout

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// pointers are the files of a tree that Git LFS would replace by what they name; their format is at
// https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. They are looked for where a
// .gitattributes file says that there are any, as git lfs track writes it.
type pointers struct {
	tracked bool // a .gitattributes says so
	files   map[string]bool
}

const (
	maxPointer    = 1024 // bytes; the specification's own limit
	pointerStart  = "version https://git-lfs.github.com/spec/"
	maxAttributes = 1 << 20
	namesShown    = 5
)

// findPointers looks through a whole tree.
func findPointers(dir string) (pointers, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return pointers{}, fmt.Errorf("opening tree: %w", err)
	}
	defer root.Close()
	p := pointers{files: map[string]bool{}}
	err = eachFile(root, func(name string) {
		if path.Base(name) == ".gitattributes" {
			b := start(root, name, maxAttributes)
			p.tracked = p.tracked || bytes.Contains(b, []byte("filter=lfs"))
		}
	})
	if err == nil && p.tracked {
		err = eachFile(root, func(name string) { p.look(root, name) })
	}
	if err != nil {
		return p, fmt.Errorf("looking for LFS pointers: %w", err)
	}
	return p, nil
}

func eachFile(root *os.Root, do func(name string)) error {
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			do(name)
		}
		return err
	})
}

// after returns the pointers of a tree in which some files have been written since, none of them a
// .gitattributes.
func (p pointers) after(dir string, written []string) (pointers, error) {
	if !p.tracked {
		return p, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return p, fmt.Errorf("opening tree: %w", err)
	}
	defer root.Close()
	now := pointers{tracked: true, files: maps.Clone(p.files)}
	for _, name := range slices.AppendSeq(written, maps.Keys(p.files)) {
		now.look(root, name)
	}
	return now, nil
}

// look keeps in mind whether a file, which may be gone, is a pointer.
func (p *pointers) look(root *os.Root, name string) {
	delete(p.files, name)
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxPointer {
		return
	}
	if bytes.HasPrefix(start(root, name, maxPointer), []byte(pointerStart)) {
		p.files[name] = true
	}
}

// start reads the beginning of a file, nothing of one that cannot be read.
func start(root *os.Root, name string, limit int64) []byte {
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, limit))
	return b
}

// notes tells the pusher.
func (p pointers) notes() []string {
	if len(p.files) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(p.files))
	more := ""
	if len(names) > namesShown {
		names, more = names[:namesShown], fmt.Sprintf(" and %d more", len(names)-namesShown)
	}
	what := "is a Git LFS pointer"
	if len(p.files) > 1 {
		what = "are Git LFS pointers"
	}
	return []string{fmt.Sprintf("%s%s %s: LFS is not supported, the build gets the pointer and not the file", strings.Join(names, ", "), more, what)}
}
