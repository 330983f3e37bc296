package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slipway/deploy"
)

// errAttributes says that a difference cannot be applied by itself: .gitattributes decide how files
// are written that did not change.
var errAttributes = errors.New("a .gitattributes file has changed")

// difference is what makes one revision's files another's.
type difference struct {
	removed []string
	written []string
	ids     []string     // of what is to be written
	entries bytes.Buffer // for git update-index --index-info
}

// Advance makes dir hold the files of the commit to. Before, it must hold those of from, as
// [deploy.Revision]'s Checkout has written them, and nothing else. What it costs grows with the
// difference of the two alone. It returns the paths that it wrote. After an
// error dir is of no use: remove it, and, unless the error is a rejection, check the revision out whole,
// which may be possible or say why not.
func (s *Store) Advance(ctx context.Context, app deploy.AppName, dir string, from, to deploy.OID) ([]string, error) {
	d, err := s.difference(ctx, app, from, to)
	if err != nil {
		return nil, err
	}
	index, err := s.temporary("index-")
	if err != nil {
		return nil, fmt.Errorf("checking out %s: %w", to.Short(), err)
	}
	defer os.RemoveAll(index)
	variable := "GIT_INDEX_FILE=" + filepath.Join(index, "index")
	weighed := make(chan error, 1)
	go func() { weighed <- s.weighChange(ctx, app, d.ids) }() // beside what has to be done anyway
	err = errors.Join(s.fillIndex(ctx, app, variable, d), <-weighed)
	if err != nil {
		return nil, fmt.Errorf("checking out %s: %w", to.Short(), err)
	}
	if err := remove(dir, d.removed); err != nil {
		return nil, fmt.Errorf("checking out %s: %w", to.Short(), err)
	}
	if err := s.writeIndex(ctx, app, dir, variable); err != nil {
		return nil, fmt.Errorf("checking out %s: %w", to.Short(), err)
	}
	return d.written, nil
}

// fillIndex makes an index of what is to be written: git writes an index whole for each change of it.
func (s *Store) fillIndex(ctx context.Context, app deploy.AppName, variable string, d *difference) error {
	cmd := s.in(ctx, app, "-c", "core.fsync=none", "update-index", "-z", "--index-info")
	cmd.Env = append(cmd.Env, variable)
	cmd.Stdin = &d.entries
	said, err := runSaying(cmd)
	if err == nil && said != "" {
		err = errors.New(said) // it passes over paths such as .git, which a whole checkout refuses
	}
	return err
}

// difference asks git what has changed. Trees that are the same on both sides are not looked into.
func (s *Store) difference(ctx context.Context, app deploy.AppName, from, to deploy.OID) (*difference, error) {
	changes := &atMost{limit: maxChange}
	cmd := s.in(ctx, app, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", string(from), string(to))
	cmd.Stdout = changes
	if err := runWithin(cmd, changeMemory); err != nil {
		return nil, fmt.Errorf("comparing %s with %s: %w", from.Short(), to.Short(), err)
	}
	d := &difference{}
	for out := changes.Bytes(); len(out) > 0; {
		// :<old mode> <new mode> <old id> <new id> <status> NUL <path> NUL
		meta, rest, _ := bytes.Cut(out, []byte{0})
		name, rest, found := bytes.Cut(rest, []byte{0})
		fields := strings.Fields(strings.TrimPrefix(string(meta), ":"))
		if !found || len(fields) != 5 {
			return nil, fmt.Errorf("comparing %s with %s: git said %.100q", from.Short(), to.Short(), meta)
		}
		out = rest
		switch p := string(name); {
		case path.Base(p) == ".gitattributes":
			return nil, errAttributes
		case len(p) > maxPath:
			return nil, errChange
		case fields[4] == "D":
			d.removed = append(d.removed, p)
		case fields[1] == submoduleMode:
			return nil, refuseSubmodule(p)
		default:
			d.written, d.ids = append(d.written, p), append(d.ids, fields[3])
			fmt.Fprintf(&d.entries, "%s %s 0\t%s\x00", fields[1], fields[3], p)
		}
	}
	return d, nil
}

// remove removes files of dir, and folders that hold nothing then, as git does.
func remove(dir string, files []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range files {
		if err := root.Remove(name); err != nil {
			return err
		}
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			if err := root.Remove(parent); err != nil {
				if errors.Is(err, errNotEmpty) || errors.Is(err, fs.ErrNotExist) {
					break
				}
				return err
			}
		}
	}
	return nil
}
