package repo_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/gitserver/repo"
)

// A ref is found where git keeps it: in a file of its own, packed with others, or both.
func TestResolveLooseAndPacked(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		resolve := func(what string, want deploy.OID) {
			t.Helper()
			got, err := w.store.Resolve(t.Context(), app, repo.DefaultRef)
			if err != nil || got != want {
				t.Errorf("%s: got %q, %v, want %s", what, got, err, want)
			}
		}
		resolve("missing", "")
		one := w.commit("one")
		w.git("push", "-q", "origin", "HEAD:main")
		resolve("loose", one)
		w.git("--git-dir="+w.store.Dir(app), "pack-refs", "--all")
		resolve("packed", one)
		two := w.commit("two")
		w.git("push", "-q", "origin", "HEAD:main")
		resolve("packed, and newer in a file", two)
		file := filepath.Join(w.store.Dir(app), string(repo.DefaultRef))
		must(t, os.WriteFile(file, []byte("ref: refs/heads/other\n"), 0o600))
		w.git("--git-dir="+w.store.Dir(app), "update-ref", "refs/heads/other", string(one))
		resolve("symbolic", one)
	})
}

// A revision that was asked for something knows it when it is asked again.
func TestRevisionRemembers(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		one := w.commit("one", "slipway.toml", "a = 1\n")
		two := w.commit("two", "slipway.toml", "a = 2\n")
		r := w.store.Revision(app, two)
		ask := func(ancestor deploy.OID, limit int64) (string, bool, error) {
			b, err := r.ReadFile(t.Context(), "slipway.toml", limit)
			if err != nil {
				return "", false, err
			}
			b[0] = 'x' // the caller's own
			yes, err := r.DescendsFrom(t.Context(), ancestor)
			return string(b[1:]), yes, err
		}
		for _, when := range []string{"at first", "again"} {
			text, yes, err := ask(one, 100)
			if err != nil || text != " = 2\n" || !yes {
				t.Errorf("%s: got %q, %t, %v", when, text, yes, err)
			}
		}
		if _, _, err := ask(one, 2); err == nil {
			t.Error("a smaller limit was passed over")
		}
		must(t, w.store.Remove(t.Context(), app))
		if text, yes, err := ask(one, 100); err != nil || text != " = 2\n" || !yes {
			t.Errorf("without a repository: got %q, %t, %v", text, yes, err)
		}
	})
}

// What Open reads ahead is what asking would have found, and nothing that asking would refuse.
func TestOpen(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ahead := w.store.Reader(t.Context(), app) // begun before there is anything to read
		defer ahead.Close()
		one := w.commit("one", "slipway.toml", "a = 1\n", "large", strings.Repeat("x", 100<<10))
		two := w.commit("two", "slipway.toml", "a = 2\n")
		commit, r, err := ahead.Open(t.Context(), two, "slipway.toml", "Procfile", "large")
		must(t, err)
		if again, _, err := ahead.Open(t.Context(), two); err != nil || !cmp.Equal(commit, again) {
			t.Errorf("opened again the commit is %+v, %v", again, err)
		}
		if want, err := w.store.Commit(t.Context(), app, two); err != nil || !cmp.Equal(commit, want) {
			t.Errorf("the commit is %+v, want %+v, %v", commit, want, err)
		}
		if b, err := r.ReadFile(t.Context(), "large", 1<<20); err != nil || len(b) != 100<<10 {
			t.Errorf("of the large file %d bytes, %v", len(b), err)
		}
		must(t, w.store.Remove(t.Context(), app))
		if b, err := r.ReadFile(t.Context(), "slipway.toml", 100); err != nil || string(b) != "a = 2\n" {
			t.Errorf("read ahead: %q, %v", b, err)
		}
		if b, err := r.ReadFile(t.Context(), "Procfile", 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that is not there: %q, %v", b, err)
		}
		if yes, err := r.DescendsFrom(t.Context(), one); err != nil || !yes {
			t.Errorf("descends from its parent: %t, %v", yes, err)
		}
		if _, _, err := ahead.Open(t.Context(), deploy.OID(strings.Repeat("1", len(two))), "slipway.toml"); err == nil {
			t.Error("opened a commit that is not there")
		}
	})
}

// A symbolic link is no file, also where it was read ahead.
func TestOpenSymbolicLink(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.commit("one", "other", "a = 1\n")
		must(t, os.Symlink("other", filepath.Join(w.work, "slipway.toml")))
		w.git("add", ".")
		two := w.commit("two", "third", "3\n")
		ahead := w.store.Reader(t.Context(), app)
		defer ahead.Close()
		_, r, err := ahead.Open(t.Context(), two, "slipway.toml")
		must(t, err)
		if b, err := r.ReadFile(t.Context(), "slipway.toml", 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %q, %v", b, err)
		}
	})
}
