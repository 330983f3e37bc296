package repo_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// listing is what a tree holds: names, modes, contents, and where links point.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		said := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			said += " " + string(b)
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			said += " -> " + to
		}
		all[name] = said
		return nil
	}))
	return all
}

// Random histories: an advanced tree is the same as one that is checked out whole.
func TestAdvance(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		random := rand.New(rand.NewPCG(1, 2))
		last := w.commit("one", "a/b/c", "x", "d", "y")
		dir := t.TempDir()
		must(t, w.store.Revision(app, last).Checkout(t.Context(), dir))
		for i := range 25 {
			w.scramble(random)
			next := w.commit(fmt.Sprintf("change %d", i), "always", "there")
			written, err := w.store.Advance(t.Context(), app, dir, last, next)
			must(t, err)
			whole := t.TempDir()
			must(t, w.store.Revision(app, next).Checkout(t.Context(), whole))
			if diff := cmp.Diff(listing(t, whole), listing(t, dir)); diff != "" {
				t.Fatalf("after change %d (%q written):\n%s", i, written, diff)
			}
			last = next
		}
	})
}

// A change that writes nothing, because it only removes or changes nothing at all.
func TestAdvanceWritesNothing(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		one := w.commit("one", "a", "x", "b/c", "y")
		dir := t.TempDir()
		must(t, w.store.Revision(app, one).Checkout(t.Context(), dir))
		must(t, os.RemoveAll(filepath.Join(w.work, "b")))
		two := w.commit("two")
		for _, step := range [][2]deploy.OID{{one, two}, {two, w.commit("three")}} {
			written, err := w.store.Advance(t.Context(), app, dir, step[0], step[1])
			if err != nil || len(written) > 0 {
				t.Fatalf("wrote %q, %v", written, err)
			}
		}
		whole := t.TempDir()
		must(t, w.store.Revision(app, two).Checkout(t.Context(), whole))
		if diff := cmp.Diff(listing(t, whole), listing(t, dir)); diff != "" {
			t.Error(diff)
		}
	})
}

// scramble changes files of the clone at random: files become folders, links, programs, or go.
func (w *world) scramble(random *rand.Rand) {
	w.Helper()
	names := []string{"a", "b", "a/b", "a/b/c", "a/b/d", "a/e", "ü", "sp ace", "deep/er/and/deeper"}
	for range 1 + random.IntN(4) {
		path := filepath.Join(w.work, names[random.IntN(len(names))])
		_ = os.RemoveAll(path)
		for parent := filepath.Dir(path); len(parent) > len(w.work); parent = filepath.Dir(parent) {
			if info, err := os.Lstat(parent); err == nil && !info.IsDir() {
				must(w.T, os.Remove(parent))
			}
		}
		must(w.T, os.MkdirAll(filepath.Dir(path), 0o755))
		switch random.IntN(5) {
		case 0: // gone
		case 1:
			must(w.T, os.Symlink([]string{"b", "..", "/etc", "nowhere"}[random.IntN(4)], path))
		case 2:
			must(w.T, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
		default:
			must(w.T, os.WriteFile(path, fmt.Append(nil, random.IntN(100)), 0o644))
		}
	}
}

// What a whole checkout refuses is refused in a difference too, and what a difference cannot tell is
// left to a whole checkout.
func TestAdvanceRefuses(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		one := w.commit("one", "file", "x")
		blob := w.git("rev-parse", "HEAD:file")
		raw := func(mode, name, id string) string {
			b := []byte(mode + " " + name + "\x00")
			for i := 0; i < len(id); i += 2 {
				b = append(b, unhex(id[i])<<4|unhex(id[i+1]))
			}
			return w.gitIn(string(b), "hash-object", "-w", "-t", "tree", "--literally", "--stdin")
		}
		for name, tt := range map[string]struct{ tree, want string }{
			".git":      {raw("40000", ".git", raw("100644", "config", blob)), ""},
			"dot-dot":   {raw("40000", "..", raw("100644", "evil", blob)), ""},
			"submodule": {raw("40000", "vendor", raw("160000", "lib", string(one))), "submodule at path vendor/lib is not supported: vendor it"},
		} {
			to := deploy.OID(w.git("commit-tree", "-m", name, tt.tree))
			w.git("push", "-q", "origin", string(to)+":refs/test/"+string(to))
			parent := t.TempDir()
			dir := filepath.Join(parent, "tree")
			must(t, os.Mkdir(dir, 0o755))
			must(t, w.store.Revision(app, one).Checkout(t.Context(), dir))
			_, err := w.store.Advance(t.Context(), app, dir, one, to)
			if r, ok := deploy.AsRejection(err); tt.want == "" && (ok || err == nil) || tt.want != "" && (!ok || r.Code != deploy.CodeCheckout || !strings.Contains(r.Message, tt.want)) {
				t.Errorf("%s: %v", name, err)
			}
			if entries, _ := os.ReadDir(parent); len(entries) != 1 {
				t.Errorf("%s: written outside: %v", name, entries)
			}
		}
		two := w.commit("two", ".gitattributes", "file eol=crlf\n")
		dir := t.TempDir()
		must(t, w.store.Revision(app, one).Checkout(t.Context(), dir))
		if _, err := w.store.Advance(t.Context(), app, dir, one, two); err == nil {
			t.Error("changed attributes change how other files are written")
		} else if _, ok := deploy.AsRejection(err); ok {
			t.Errorf("changed attributes are nobody's fault: %v", err)
		}
		three := w.commit("three", "file", "one\ntwo\n")
		must(t, os.RemoveAll(dir))
		must(t, os.Mkdir(dir, 0o755))
		must(t, w.store.Revision(app, two).Checkout(t.Context(), dir))
		_, err := w.store.Advance(t.Context(), app, dir, two, three)
		must(t, err)
		if b, _ := os.ReadFile(filepath.Join(dir, "file")); string(b) != "one\r\ntwo\r\n" {
			t.Errorf("attributes that did not change: %q", b)
		}
		if left, _ := filepath.Glob(filepath.Join(w.layout.Repos(), ".tmp", "*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}
