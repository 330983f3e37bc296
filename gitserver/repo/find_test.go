package repo_test

import (
	"errors"
	"testing"

	"slipway/gitserver/repo"
)

func TestFind(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		oid := w.commit("First")
		w.git("push", "-q", "origin", "main", "main:refs/heads/by-hand")
		for _, name := range []string{string(oid), string(oid[:9]), "main", "by-hand", "refs/heads/by-hand", "main~0"} {
			if got, err := w.store.Find(t.Context(), app, name); err != nil || got != oid {
				t.Errorf("Find(%q) = %s, %v; want %s", name, got, err, oid)
			}
		}
		for _, name := range []string{"", "none", "--all", "main^{tree}", "main~1", string(oid[:5]) + "zzzz"} {
			if got, err := w.store.Find(t.Context(), app, name); !errors.Is(err, repo.ErrNotCommit) {
				t.Errorf("Find(%q) = %s, %v; want ErrNotCommit", name, got, err)
			}
		}
	})
}
