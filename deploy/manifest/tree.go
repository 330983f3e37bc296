package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// What is read to learn what kind of project a tree is: of one file, and of all together.
const (
	maxHint  = 1 << 20
	maxHints = 32 << 20
)

// tree looks at the files of a work tree. A file that is missing, no regular file, too large, or
// reached by a link out of the tree is as good as not there; the first other failure is kept in err,
// so that detectors can ask without checking each answer.
type tree struct {
	root *os.Root
	err  error
	read int // bytes so far
}

// has tells whether there is a regular file of a readable size.
func (t *tree) has(name string) bool {
	info, err := t.root.Stat(name)
	t.note(name, err)
	return err == nil && info.Mode().IsRegular() && info.Size() <= maxHint
}

// folder tells whether there is a folder.
func (t *tree) folder(name string) bool {
	info, err := t.root.Stat(name)
	t.note(name, err)
	return err == nil && info.IsDir()
}

// text returns what is in a file, "" if it is not there.
func (t *tree) text(name string) string {
	if !t.has(name) || t.read > maxHints {
		return ""
	}
	b, err := t.root.ReadFile(name)
	t.note(name, err)
	t.read += len(b)
	return string(b)
}

// first returns the first of the names that is a file.
func (t *tree) first(names ...string) (string, bool) {
	for _, n := range names {
		if t.has(n) {
			return n, true
		}
	}
	return "", false
}

// list returns the names in a folder that match a pattern of path.Match, in order.
func (t *tree) list(folder, pattern string) []string {
	entries, err := fs.ReadDir(t.root.FS(), folder)
	t.note(folder, err)
	var names []string
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	return names
}

// note keeps an error that says more than that there is no such file.
func (t *tree) note(name string, err error) {
	if err == nil || t.err != nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	// A pusher can arrange these: a file for a folder, a circle of links, a link out of the tree.
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENAMETOOLONG) {
		return
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok && strings.Contains(pe.Err.Error(), "escapes") {
		return
	}
	t.err = fmt.Errorf("looking at %s: %w", name, err)
}

// skipped are folders whose files are not the project's own.
var skipped = map[string]bool{
	"vendor": true, "node_modules": true, "testdata": true, "examples": true, "example": true, "third_party": true,
	"__pycache__": true, "venv": true, "site-packages": true,
}

// maxEntries bounds how much of a tree is searched. A larger tree is taken to contain what is looked for.
const maxEntries = 20_000

// contains tells whether a file of the project satisfies a condition on its path.
func (t *tree) contains(is func(name string) bool) bool {
	found, entries := false, 0
	err := fs.WalkDir(t.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		entries++
		switch {
		case d.IsDir() && name != "." && (skipped[d.Name()] || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.Type().IsRegular() && is(name), entries > maxEntries:
			found = true
			return fs.SkipAll
		}
		return nil
	})
	t.note(".", err)
	return found
}
