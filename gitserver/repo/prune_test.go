package repo_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/gitserver/repo"
)

// Objects that no ref reaches go when they are old. Those of a push that is being decided, which no ref
// reaches yet, stay, and its ref can be moved to them.
func TestPrune(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		dir := w.store.Dir(app)
		w.git("config", "--file", filepath.Join(dir, "config"), "receive.unpackLimit", "1")
		unreach := func(oid deploy.OID) { w.git("push", "-q", "origin", ":refs/test/"+string(oid)) }
		age := func(by time.Duration) {
			packs, err := filepath.Glob(filepath.Join(dir, "objects/pack/*"))
			must(t, err)
			for _, pack := range packs {
				must(t, os.Chtimes(pack, time.Now().Add(-by), time.Now().Add(-by)))
			}
		}
		there := func(oid deploy.OID) bool {
			_, err := w.store.Commit(ctx, app, oid)
			return err == nil
		}
		live := w.commit("live", "file", "1")
		rejected := w.commit("rejected", "file", "2")
		must(t, w.store.Keep(ctx, app, 1, rejected))
		unreach(rejected)
		refused := w.commit("refused", "file", "3")
		unreach(refused)
		age(30 * 24 * time.Hour)
		deciding := w.commit("deciding", "file", "4")
		unreach(deciding)

		must(t, w.store.Prune(ctx, app, 14*24*time.Hour))
		if !there(live) || !there(rejected) || !there(deciding) {
			t.Error("pruned what is needed")
		}
		if there(refused) && !there(deciding) {
			t.Error("not pruned")
		}
		tx, err := w.store.Prepare(ctx, app, deploy.RefUpdate{Ref: repo.DefaultRef, New: deciding})
		must(t, err)
		must(t, tx.Commit(ctx))

		// Only what is reachable from deciding keeps the others now: begin a history of its own.
		w.git("checkout", "-q", "--orphan", "other")
		other := w.commit("other", "other", "5")
		unreach(other)
		age(30 * 24 * time.Hour)
		must(t, w.store.Prune(ctx, app, 14*24*time.Hour))
		if !there(other) {
			t.Error("a week has not passed since the last time")
		}
		must(t, w.store.Prune(ctx, app, time.Hour))
		if there(other) {
			t.Error("where room is short it does not wait for a week")
		}
		kept, err := w.store.Kept(ctx, app)
		if len(kept) != 1 || kept[0] != 1 || err != nil {
			t.Errorf("kept %d, %v", kept, err)
		}
		must(t, w.store.Forget(ctx, app, 1, 2))
		if kept, _ := w.store.Kept(ctx, app); len(kept) != 0 {
			t.Errorf("kept %d", kept)
		}
	})
}
