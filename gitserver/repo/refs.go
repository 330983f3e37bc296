package repo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// Resolve returns what ref points to, "" if it is missing.
func (s *Store) Resolve(ctx context.Context, app deploy.AppName, ref deploy.RefName) (deploy.OID, error) {
	if oid, ok := s.loose(app, ref); ok {
		return oid, nil
	}
	found, err := s.ResolveAll(ctx, app, ref)
	return found[ref], err
}

// loose reads a ref that has a file of its own (gitrepository-layout(5)), which git replaces in one step:
// every push asks four times for the gated ref, and a git takes milliseconds to start. Whatever else
// there is, git reads.
func (s *Store) loose(app deploy.AppName, ref deploy.RefName) (deploy.OID, bool) {
	if CheckRefName(ref) != nil {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join(s.Dir(app), string(ref)))
	if err != nil || !bytes.HasSuffix(b, []byte("\n")) {
		return "", false
	}
	oid, err := deploy.ParseOID(strings.TrimSuffix(string(b), "\n"))
	return oid, err == nil
}

// ResolveAll returns what each of refs points to; missing ones are not in the map.
func (s *Store) ResolveAll(ctx context.Context, app deploy.AppName, refs ...deploy.RefName) (map[deploy.RefName]deploy.OID, error) {
	// rev-parse would look for refs/heads/refs/heads/main too.
	args := []string{"for-each-ref", "--format=%(objectname) %(refname)"}
	wanted := map[deploy.RefName]bool{}
	for _, ref := range refs {
		if err := CheckRefName(ref); err != nil {
			return nil, err
		}
		wanted[ref] = true
		args = append(args, string(ref))
	}
	out, err := s.git(ctx, app, args...)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", refs, err)
	}
	found := map[deploy.RefName]deploy.OID{}
	for line := range bytes.Lines(out) {
		id, name, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		if !wanted[deploy.RefName(name)] {
			continue
		}
		oid, err := deploy.ParseOID(id)
		if err != nil {
			return nil, fmt.Errorf("resolving %s: %w", name, err)
		}
		found[deploy.RefName(name)] = oid
	}
	return found, nil
}

// ignoringBroken begins what git says of a ref whose file holds no object's name.
const ignoringBroken = "warning: ignoring broken ref "

// Broken returns the refs that lead to nothing that can be read, which a power cut can make of what another
// git has written: while there is one, git takes no push. Of refs that are empty themselves it may not
// return all.
func (s *Store) Broken(ctx context.Context, app deploy.AppName) ([]deploy.RefName, error) {
	list := s.in(ctx, app, "for-each-ref", "--format=%(objectname) %(refname)")
	var listed bytes.Buffer
	list.Stdout = &listed
	said, err := runSaying(list)
	if err != nil {
		return nil, fmt.Errorf("listing refs: %w", err)
	}
	var broken []deploy.RefName
	for line := range strings.Lines(said) {
		if name, ok := strings.CutPrefix(line, ignoringBroken); ok {
			broken = append(broken, deploy.RefName(strings.TrimSpace(name)))
		}
	}
	look := s.in(ctx, app, "cat-file", "--batch-check=%(objectname)")
	refs := map[string][]deploy.RefName{}
	var ids strings.Builder
	for line := range strings.Lines(listed.String()) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[id] = append(refs[id], deploy.RefName(name))
		ids.WriteString(id + "\n")
	}
	look.Stdin = strings.NewReader(ids.String())
	found, err := output(look)
	if err != nil {
		return nil, fmt.Errorf("looking where refs lead: %w", err)
	}
	for line := range strings.Lines(string(found)) {
		if id, missing := strings.CutSuffix(strings.TrimSpace(line), " missing"); missing {
			broken = append(broken, refs[id]...)
			delete(refs, id)
		}
	}
	return broken, nil
}

// Keep makes oid readable as the revision of deployment n, and keeps it from being pruned.
func (s *Store) Keep(ctx context.Context, app deploy.AppName, n deploy.Number, oid deploy.OID) error {
	ref := deploy.DeploymentRef(n)
	if oid.IsZero() {
		return fmt.Errorf("keeping the revision of deployment %s: no revision", n)
	}
	if _, err := deploy.ParseOID(string(oid)); err != nil {
		return fmt.Errorf("keeping the revision of deployment %s: %w", n, err)
	}
	folders := s.refFolders(app, deploy.RefUpdate{Ref: ref, New: oid})
	if err := s.keep(ctx, app, ref, oid); err != nil {
		return fmt.Errorf("keeping the revision of deployment %s: %w", n, err)
	}
	return folders.sync()
}

// keep makes oid the ref's value, whatever that was.
func (s *Store) keep(ctx context.Context, app deploy.AppName, ref deploy.RefName, oid deploy.OID) error {
	git, err := s.begin(app)
	if err != nil {
		return err
	}
	err = git.exchangeWithin(ctx, fmt.Sprintf("option no-deref\x00update %s\x00%s\x00\x00commit\x00", ref, oid), "commit: ok")
	if err == nil {
		s.updaters.give(app, git)
	}
	return err
}

// Kept lists the deployments whose revisions are kept.
func (s *Store) Kept(ctx context.Context, app deploy.AppName) ([]deploy.Number, error) {
	out, err := s.git(ctx, app, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/slipway/deployments/")
	if err != nil {
		return nil, fmt.Errorf("listing the revisions kept: %w", err)
	}
	var all []deploy.Number
	for name := range strings.FieldsSeq(string(out)) {
		if n, err := deploy.ParseNumber(name); err == nil {
			all = append(all, n)
		}
	}
	return all, nil
}

// Forget lets the revisions of deployments be pruned. It is no error if one was not kept.
func (s *Store) Forget(ctx context.Context, app deploy.AppName, numbers ...deploy.Number) error {
	var commands strings.Builder
	var updates []deploy.RefUpdate
	for _, n := range numbers {
		ref := deploy.DeploymentRef(n)
		fmt.Fprintf(&commands, "option no-deref\ndelete %s\n", ref)
		updates = append(updates, deploy.RefUpdate{Ref: ref})
	}
	folders := s.refFolders(app, updates...)
	cmd := s.in(ctx, app, "update-ref", "--stdin")
	cmd.Stdin = strings.NewReader(commands.String())
	if err := run(cmd); err != nil {
		return fmt.Errorf("forgetting the revisions of %d deployments: %w", len(numbers), err)
	}
	return folders.sync()
}

// refFolders remembers, before git writes refs, which of their folders are there and stay: git removes one
// that pack-refs has emptied, but for refs itself and what is right below it (refs/heads), and makes it again.
type refFolders struct {
	dirs []string // from a ref's own up to the first that was there and stays
}

func (s *Store) refFolders(app deploy.AppName, updates ...deploy.RefUpdate) refFolders {
	top := s.Dir(app)
	seen := map[string]bool{}
	var f refFolders
	add := func(dir string) {
		if !seen[dir] {
			seen[dir] = true
			f.dirs = append(f.dirs, dir)
		}
	}
	for _, u := range updates {
		for name := path.Dir(string(u.Ref)); ; name = path.Dir(name) {
			dir := filepath.Join(top, name)
			add(dir)
			if _, err := os.Stat(dir); err == nil && strings.Count(name, "/") <= 1 || name == "." {
				break
			}
		}
		if u.New.IsZero() {
			add(top) // git has rewritten packed-refs
		}
	}
	return f
}

// sync puts the entries of the folders on disk; the files are there already.
func (f refFolders) sync() error {
	if err := durable.SyncDirs(f.dirs...); err != nil {
		return fmt.Errorf("putting refs on disk: %w", err)
	}
	return nil
}

// SyncObjects puts the entries of packs that git has just received on disk; the files are there
// already. It is for pushes that are stored as packs (receive.unpackLimit=1).
func (s *Store) SyncObjects(app deploy.AppName) error {
	if err := durable.SyncDirs(filepath.Join(s.Dir(app), "objects", "pack")); err != nil {
		return fmt.Errorf("putting objects on disk: %w", err)
	}
	return nil
}

// SyncAll puts a repository on disk with all that is in it. It is for what a git has written that was not this
// server's: by itself git leaves most of it to the system.
func (s *Store) SyncAll(app deploy.AppName) error {
	if err := durable.SyncFileSystem(s.Dir(app)); err != nil {
		return fmt.Errorf("putting repository %s on disk: %w", app, err)
	}
	return nil
}

// moves remembers the last ref that a Prepare has led to move, by app.
type moves struct {
	mu   sync.Mutex
	last map[deploy.AppName]deploy.RefUpdate
}

func (m *moves) set(app deploy.AppName, u deploy.RefUpdate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		m.last = map[deploy.AppName]deploy.RefUpdate{}
	}
	m.last[app] = u
}

// LastMove returns the update that a transaction of [Store.Prepare] last committed in app, if it moved
// ref to oid. Its Old is what the ref really was, which a pusher may not have known.
func (s *Store) LastMove(app deploy.AppName, ref deploy.RefName, oid deploy.OID) (deploy.RefUpdate, bool) {
	s.moves.mu.Lock()
	defer s.moves.mu.Unlock()
	u := s.moves.last[app]
	return u, u.Ref == ref && u.New == oid
}
