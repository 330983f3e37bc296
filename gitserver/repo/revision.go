package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"slipway/deploy"
)

// Revision returns the commit oid of app's repository. It reads nothing yet.
func (s *Store) Revision(app deploy.AppName, oid deploy.OID) deploy.Revision {
	return s.revision(app, oid)
}

func (s *Store) revision(app deploy.AppName, oid deploy.OID) *revision {
	return &revision{store: s, app: app, oid: oid, files: map[string][]byte{}, absent: map[string]bool{}, descends: map[deploy.OID]bool{}}
}

// revision implements [deploy.Revision]. It remembers what it was asked for: a commit does not change,
// every push asks the same several times, and each answer costs the start of a git or two.
type revision struct {
	store *Store
	app   deploy.AppName
	oid   deploy.OID

	mu       sync.Mutex
	files    map[string][]byte
	absent   map[string]bool
	descends map[deploy.OID]bool
}

// ReadFile implements [deploy.Revision].
func (r *revision) ReadFile(ctx context.Context, path string, limit int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, known := r.files[path]; known && int64(len(b)) <= limit {
		return bytes.Clone(b), nil
	}
	if r.absent[path] {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	b, err := r.readFile(ctx, path, limit)
	if err == nil {
		r.files[path] = bytes.Clone(b)
	}
	return b, err
}

func (r *revision) readFile(ctx context.Context, path string, limit int64) ([]byte, error) {
	if !fs.ValidPath(path) || path == "." || strings.ContainsRune(path, 0) {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrInvalid}
	}
	out, err := r.git(ctx, "ls-tree", "-z", "--long", "--full-tree", string(r.oid), path)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", path, r.oid.Short(), err)
	}
	// <mode> SP <type> SP <id> SP+ <size> TAB <path> NUL
	meta, _, _ := strings.Cut(string(out), "\t")
	fields := strings.Fields(meta)
	if len(fields) != 4 || !strings.HasPrefix(fields[0], "100") {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	size, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: size %q", path, r.oid.Short(), fields[3])
	}
	if size > limit {
		return nil, deploy.Reject(deploy.CodeSize, "%s has %d bytes, more than the limit of %d", Printable(path, 100), size, limit)
	}
	b, err := r.git(ctx, "cat-file", "blob", fields[2])
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", path, r.oid.Short(), err)
	}
	return b, nil
}

// DescendsFrom implements [deploy.Revision]. A commit that the repository does not have is nobody's
// ancestor.
func (r *revision) DescendsFrom(ctx context.Context, ancestor deploy.OID) (bool, error) {
	if ancestor.IsZero() || ancestor == r.oid {
		return true, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if yes, known := r.descends[ancestor]; known {
		return yes, nil
	}
	yes, err := r.descendsFrom(ctx, ancestor)
	if yes { // a no may be because of what the repository does not have yet
		r.descends[ancestor] = true
	}
	return yes, err
}

func (r *revision) descendsFrom(ctx context.Context, ancestor deploy.OID) (bool, error) {
	_, err := r.git(ctx, "merge-base", "--is-ancestor", string(ancestor), string(r.oid))
	switch status, exited := exitStatus(err); {
	case err == nil:
		return true, nil
	case exited && status == 1:
		return false, nil
	}
	if r.lacks(ctx, ancestor) {
		return false, nil
	}
	if r.lacks(ctx, r.oid) {
		return false, gone(r.oid)
	}
	return false, fmt.Errorf("comparing %s with %s: %w", r.oid.Short(), ancestor.Short(), err)
}

// lacks tells whether a commit is certainly not in the repository.
func (r *revision) lacks(ctx context.Context, commit deploy.OID) bool {
	_, err := r.git(ctx, "cat-file", "-e", string(commit)+"^{commit}")
	_, exited := exitStatus(err)
	return err != nil && exited && ctx.Err() == nil
}

// gone is the refusal of a revision that was pruned.
func gone(oid deploy.OID) *deploy.Rejection {
	return deploy.Reject(deploy.CodeNotFound, "revision %s is not kept any more", oid.Short())
}

// Checkout implements [deploy.Revision]. Symbolic links are written as they are, wherever they point:
// whoever reads the tree has to mind them. Submodules and paths that git itself will not write
// (.git, ..) are a *deploy.Rejection with [deploy.CodeCheckout], more than a tree may have is one with
// [deploy.CodeSize].
func (r *revision) Checkout(ctx context.Context, dir string) error {
	if err := checkEmpty(dir); err != nil {
		return fmt.Errorf("checking out %s: %w", r.oid.Short(), err)
	}
	if err := r.weigh(ctx); err != nil {
		return err
	}
	temporary, err := r.store.temporary("index-")
	if err != nil {
		return fmt.Errorf("checking out %s: %w", r.oid.Short(), err)
	}
	defer os.RemoveAll(temporary)
	index := "GIT_INDEX_FILE=" + filepath.Join(temporary, "index")
	if err := r.readTree(ctx, index); err != nil {
		return err
	}
	if err := r.store.writeIndex(ctx, r.app, dir, index); err != nil {
		return fmt.Errorf("checking out %s: %w", r.oid.Short(), err)
	}
	return nil
}

// writeIndex writes the files of an index, named by git's variable for it, into dir.
func (s *Store) writeIndex(ctx context.Context, app deploy.AppName, dir, index string) error {
	cmd := s.in(ctx, app, "-c", "core.fsync=none", "-c", "checkout.workers=0", "--work-tree="+dir, "checkout-index", "--all", "--force", "--quiet")
	cmd.Env = append(cmd.Env, index)
	return run(cmd)
}

// readTree fills an index, which refuses paths that must not be written.
func (r *revision) readTree(ctx context.Context, index string) error {
	cmd := r.store.in(ctx, r.app, "-c", "core.fsync=none", "read-tree", string(r.oid))
	cmd.Env = append(cmd.Env, index)
	err := run(cmd)
	if failed, ok := errors.AsType[*gitError](err); ok {
		if _, path, ok := strings.Cut(failed.stderr, "invalid path '"); ok {
			path, _, _ = strings.Cut(path, "'\n")
			return deploy.Reject(deploy.CodeCheckout, "the tree holds a path that cannot be checked out: %s", Printable(strings.TrimSuffix(path, "'"), 200))
		}
	}
	if err != nil {
		return fmt.Errorf("checking out %s: %w", r.oid.Short(), err)
	}
	return nil
}

// submoduleMode is how a tree marks the commit of another repository.
const submoduleMode = "160000"

func refuseSubmodule(path string) error {
	return deploy.Reject(deploy.CodeCheckout, "submodule at path %s is not supported: vendor it", Printable(path, 200)).
		WithHint("put its files into this repository:\n  git rm --cached %[1]s && rm -rf %[1]s/.git && git add %[1]s", Printable(path, 200))
}

func checkEmpty(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("%s is not an absolute path", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	return nil
}

func (r *revision) git(ctx context.Context, args ...string) ([]byte, error) {
	return r.store.git(ctx, r.app, args...)
}
