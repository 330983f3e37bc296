package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"slipway/deploy"
)

// A few kilobytes of a pack can name a tree of billions of files, the same ones again and again, or files
// of terabytes. So a tree is weighed before git holds it in memory or writes it.
const (
	maxFiles  = 1_000_000
	maxName   = 255     // bytes, of Linux's file systems
	maxPath   = 4000    // bytes; the system's are 4095, with the folder that it is checked out into
	maxChange = 8 << 20 // bytes of a list of changed files

	changeMemory = 128 << 20 // bytes, for git to compare two trees: it lists all changes before it writes one
)

// scale adds up entries of a tree as git ls-tree -z --long writes them, and refuses one too many.
type scale struct {
	most    int64 // bytes
	files   int
	bytes   int64
	held    []byte // the beginning of an entry
	refusal error  // why it takes no more
}

// Write implements [io.Writer]; its error ends git.
func (s *scale) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	for s.refusal == nil {
		entry, rest, found := bytes.Cut(s.held, []byte{0})
		if !found {
			break
		}
		s.refusal = s.add(string(entry))
		s.held = rest
	}
	return len(p), s.refusal
}

// add weighs "<mode> SP <type> SP <id> SP+ <size> TAB <path>".
func (s *scale) add(entry string) error {
	meta, name, _ := strings.Cut(entry, "\t")
	fields := strings.Fields(meta)
	if len(fields) != 4 {
		return fmt.Errorf("git said %.100q", entry)
	}
	if len(path.Base(name)) > maxName || len(name) > maxPath {
		return deploy.Reject(deploy.CodeCheckout, "the tree holds a path that cannot be checked out, of %d bytes: %s", len(name), Printable(name, 60))
	}
	switch fields[1] {
	case "tree":
		return nil
	case "commit":
		return refuseSubmodule(name)
	}
	size, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil {
		return fmt.Errorf("git said %.100q", entry)
	}
	s.files++
	s.bytes += size
	switch {
	case s.files > maxFiles:
		return deploy.Reject(deploy.CodeSize, "the tree holds more than %d files", maxFiles)
	case s.bytes > s.most:
		return deploy.Reject(deploy.CodeSize, "the tree's files have more than %d MiB", s.most>>20).
			WithHint("an admin can raise disk in the server's configuration")
	}
	return nil
}

// weigh refuses a tree that is too large to be checked out, or that holds what is not supported.
func (r *revision) weigh(ctx context.Context) error {
	s := &scale{most: r.store.config.TreeBytes}
	cmd := r.store.in(ctx, r.app, "ls-tree", "-r", "-t", "-z", "--long", "--full-tree", string(r.oid))
	cmd.Stdout = s
	err := run(cmd)
	if s.refusal != nil {
		err = s.refusal
	}
	if _, rejected := deploy.AsRejection(err); err != nil && !rejected {
		return fmt.Errorf("checking out %s: %w", r.oid.Short(), err)
	}
	return err
}

// errChange says that two revisions differ by more than is worth to apply by itself.
var errChange = errors.New("too much has changed")

// weighChange refuses with errChange what together has more than an eighth of what a tree may have. What
// is more, a whole checkout weighs.
func (s *Store) weighChange(ctx context.Context, app deploy.AppName, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	cmd := s.in(ctx, app, "cat-file", "--batch-check=%(objectsize)")
	cmd.Stdin = strings.NewReader(strings.Join(ids, "\n") + "\n")
	out, err := output(cmd)
	if err != nil {
		return err
	}
	sum := int64(0)
	for line := range strings.Lines(string(out)) {
		size, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return fmt.Errorf("git said %.100q", line)
		}
		if sum += size; sum > s.config.TreeBytes/8 {
			return errChange
		}
	}
	return nil
}

// atMost is a buffer that takes so many bytes and no more.
type atMost struct {
	bytes.Buffer
	limit int
}

func (b *atMost) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, errChange
	}
	return b.Buffer.Write(p)
}
