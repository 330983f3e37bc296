package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/diff"
	"github.com/go-git/go-git/v5/plumbing/object"

	"slipway/deploy"
)

// Bounds of what is read for one question.
const (
	maxVisited = 20_000    // commits
	maxBlob    = 256 << 10 // bytes of a file whose lines are compared
)

// errElsewhere says that go-git cannot read a repository and the git program has to.
var errElsewhere = errors.New("not to be read in process")

// open opens an app's repository in this process. go-git knows SHA-1 only.
func (s *Store) open(app deploy.AppName, oids ...deploy.OID) (*git.Repository, error) {
	for _, oid := range oids {
		if len(oid) > 40 {
			return nil, errElsewhere
		}
	}
	r, err := git.PlainOpen(s.Dir(app))
	if err != nil {
		return nil, fmt.Errorf("opening the repository of %s: %w", app, err)
	}
	return r, nil
}

// Commits returns the commits that can be reached from to and not from from, newest first, at most so
// many. A zero from is everything.
func (s *Store) Commits(ctx context.Context, app deploy.AppName, from, to deploy.OID, most int) (deploy.History, error) {
	r, err := s.open(app, from, to)
	if errors.Is(err, errElsewhere) {
		return s.commitsByGit(ctx, app, from, to, most)
	}
	if err != nil {
		return deploy.History{}, err
	}
	w := &walk{ctx: ctx, r: r, seen: map[plumbing.Hash]*visited{}}
	if !from.IsZero() {
		if err := w.add(plumbing.NewHash(string(from)), true); err != nil {
			return deploy.History{}, notRead(from, err)
		}
	}
	if err := w.add(plumbing.NewHash(string(to)), false); err != nil {
		return deploy.History{}, notRead(to, err)
	}
	return w.run(most)
}

// commitsByGit is Commits by the git program.
func (s *Store) commitsByGit(ctx context.Context, app deploy.AppName, from, to deploy.OID, most int) (deploy.History, error) {
	args := []string{"rev-list", "--max-count=" + fmt.Sprint(most+1), string(to)}
	if !from.IsZero() {
		args = append(args, "^"+string(from))
	}
	out, err := s.git(ctx, app, args...)
	if err != nil {
		return deploy.History{}, fmt.Errorf("listing commits of %s: %w", app, err)
	}
	var h deploy.History
	for _, line := range strings.Fields(string(out)) {
		if len(h.Commits) == most {
			h.More = true
			break
		}
		commit, err := s.Commit(ctx, app, deploy.OID(line))
		if err != nil {
			return h, err
		}
		h.Commits = append(h.Commits, deploy.CommitOf{ID: deploy.OID(line), Commit: commit})
	}
	return h, nil
}

// Diff returns what changed in the tree from one commit to another. A zero from is an empty tree.
func (s *Store) Diff(ctx context.Context, app deploy.AppName, from, to deploy.OID, limits deploy.DiffLimits) (deploy.Diff, error) {
	r, err := s.open(app, from, to)
	if errors.Is(err, errElsewhere) {
		return s.diffByGit(ctx, app, from, to, limits)
	}
	if err != nil {
		return deploy.Diff{}, err
	}
	old, err := treeOf(r, from)
	if err != nil {
		return deploy.Diff{}, err
	}
	fresh, err := treeOf(r, to)
	if err != nil {
		return deploy.Diff{}, err
	}
	changes, err := object.DiffTreeWithOptions(ctx, old, fresh, &object.DiffTreeOptions{})
	if err != nil {
		return deploy.Diff{}, fmt.Errorf("comparing trees: %w", err)
	}
	d := deploy.Diff{More: len(changes) > limits.Files}
	left := limits.Bytes
	for _, change := range changes[:min(limits.Files, len(changes))] {
		f, err := fileChange(ctx, change, left)
		if err != nil {
			return deploy.Diff{}, fmt.Errorf("comparing %.200q: %w", cmp.Or(change.To.Name, change.From.Name), err)
		}
		left -= len(f.Patch)
		d.Files = append(d.Files, f)
	}
	return d, nil
}

func treeOf(r *git.Repository, oid deploy.OID) (*object.Tree, error) {
	if oid.IsZero() {
		return nil, nil
	}
	commit, err := r.CommitObject(plumbing.NewHash(string(oid)))
	if err != nil {
		return nil, notRead(oid, err)
	}
	return commit.Tree()
}

// notRead says why a commit could not be read. What was pruned is for people to know.
func notRead(oid deploy.OID, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return gone(oid)
	}
	return fmt.Errorf("reading commit %s: %w", oid.Short(), err)
}

// fileChange compares one file. A file that is large counts as binary, and a patch of more than most bytes
// is left out.
func fileChange(ctx context.Context, change *object.Change, most int) (deploy.FileChange, error) {
	f := deploy.FileChange{Path: change.To.Name, OldPath: change.From.Name}
	for _, e := range []object.ChangeEntry{change.From, change.To} {
		if e.Name == "" || e.TreeEntry.Mode == filemode.Submodule {
			continue
		}
		size, err := e.Tree.Size(e.TreeEntry.Name)
		if err == nil && size > maxBlob {
			f.Binary = true
			return f, nil
		}
	}
	patch, err := change.PatchContext(ctx)
	if err != nil {
		return f, err
	}
	for _, p := range patch.FilePatches() {
		f.Binary = p.IsBinary()
		for _, chunk := range p.Chunks() {
			lines := strings.Count(chunk.Content(), "\n")
			if !strings.HasSuffix(chunk.Content(), "\n") && chunk.Content() != "" {
				lines++
			}
			switch chunk.Type() {
			case diff.Add:
				f.Added += lines
			case diff.Delete:
				f.Deleted += lines
			case diff.Equal:
			}
		}
	}
	var out strings.Builder
	if !f.Binary && diff.NewUnifiedEncoder(limited{&out, most}, 3).Encode(patch) == nil {
		f.Patch = strings.ToValidUTF8(out.String(), "\uFFFD")
	}
	return f, nil
}

// limited refuses to take more than most bytes.
type limited struct {
	to   *strings.Builder
	most int
}

func (l limited) Write(b []byte) (int, error) {
	if l.to.Len()+len(b) > l.most {
		return 0, io.ErrShortWrite
	}
	return l.to.Write(b)
}
