package repo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/gitserver/repo"
)

// Trees that take next to nothing in a pack, and would take everything of the machine.
func TestCheckoutOfHugeTrees(t *testing.T) {
	w := newWorld(t, repo.SHA1)
	store := repo.New(repo.Config{Layout: w.layout, TreeBytes: 32 << 20})
	w.git("config", "--file", filepath.Join(store.Dir(app), "config"), "receive.unpackLimit", "1")
	one := w.commit("one", "file", "x")
	blob := w.git("rev-parse", "HEAD:file")
	zeros := w.gitIn(strings.Repeat("\x00", 5<<20), "hash-object", "-w", "--stdin")
	// tree nests a blob under a name, width times on every level.
	tree := func(blob, name string, width, depth int) string {
		entry := "100644 blob " + blob
		for range depth {
			var list strings.Builder
			for i := range width {
				fmt.Fprintf(&list, "%s\t%s%d\n", entry, name, i)
			}
			entry = "040000 tree " + w.gitIn(list.String(), "mktree")
		}
		return strings.Fields(entry)[2]
	}
	for _, tt := range []struct {
		name, tree, want string
		code             deploy.Code
	}{
		{"ten billion files", tree(blob, "f", 10, 10), "the tree holds more than 1000000 files", deploy.CodeSize},
		{"files of 35 MiB", tree(zeros, "f", 7, 1), "the tree's files have more than 32 MiB", deploy.CodeSize},
		{"a long name", tree(blob, strings.Repeat("n", 255), 1, 1), "cannot be checked out, of 256 bytes: nnn", deploy.CodeCheckout},
		{"a long path", tree(blob, strings.Repeat("n", 200), 1, 30), "cannot be checked out, of 4039 bytes", deploy.CodeCheckout},
		{"files of 30 MiB", tree(zeros, "f", 6, 1), "", ""},
		{"a thousand files", tree(blob, "f", 10, 3), "", ""},
	} {
		oid := deploy.OID(w.git("commit-tree", "-m", tt.name, tt.tree))
		w.git("push", "-q", "origin", string(oid)+":refs/test/"+string(oid))
		whole, changed := t.TempDir(), t.TempDir()
		err := store.Revision(app, oid).Checkout(t.Context(), whole)
		must(t, store.Revision(app, one).Checkout(t.Context(), changed))
		_, advanced := store.Advance(t.Context(), app, changed, one, oid)
		if tt.want == "" {
			must(t, err)
			continue
		}
		if r, ok := deploy.AsRejection(err); !ok || r.Code != tt.code || !strings.Contains(r.Message, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if entries, _ := os.ReadDir(whole); len(entries) > 0 {
			t.Errorf("%s: %v was written", tt.name, entries)
		}
		if advanced == nil && tt.code == deploy.CodeSize {
			t.Errorf("%s: written without being weighed", tt.name)
		}
	}
}
