package repo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/gitserver/repo"
)

// Servers that maintain one repository at once, as a new one and what a killed one left running do, and
// pushes meanwhile: nobody takes another's half-made pack for a pack, and no object is lost.
func TestMaintainTogether(t *testing.T) {
	w := newWorld(t, repo.SHA1)
	w.git("config", "--file", filepath.Join(w.store.Dir(app), "config"), "receive.unpackLimit", "1")
	stores := []*repo.Store{w.store, repo.New(repo.Config{Layout: w.layout}), repo.New(repo.Config{Layout: w.layout})}
	for round := range 6 {
		for i := range 4 {
			w.commit(fmt.Sprint(round, i), "file", strings.Repeat(fmt.Sprintln(round, i), 20000))
		}
		var wg sync.WaitGroup
		for _, s := range stores {
			wg.Go(func() {
				for range 3 {
					if err := s.Maintain(t.Context(), app); err != nil {
						t.Error(err)
					}
					if err := s.Prune(t.Context(), app, time.Hour); err != nil {
						t.Error(err)
					}
				}
			})
		}
		w.commit(fmt.Sprint(round, "meanwhile"), "file", fmt.Sprint(round))
		wg.Wait()
	}
	w.git("--git-dir", w.store.Dir(app), "fsck", "--full", "--strict", "--no-dangling")
	if left, _ := filepath.Glob(filepath.Join(w.store.Dir(app), "objects/pack/.tmp-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What a git started that was killed with its server goes on alone. Until it has ended nobody else
// maintains the repository, and nobody sweeps what it is making.
func TestMaintenanceOutlivesTheServer(t *testing.T) {
	w := newWorld(t, repo.SHA1)
	w.commit("one", "file", "one")
	dir := t.TempDir()
	// The repack ends at once, and leaves a process that goes on, as a killed one does.
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *repack*) echo >>%[1]s/repacks\n"+
		"(while [ -d %[1]s -a ! -e %[1]s/go ]; do sleep 0.05; done) >/dev/null 2>&1 & exit 1;; esac\nexec git \"$@\"\n", dir)
	git := filepath.Join(dir, "git")
	must(t, os.WriteFile(git, []byte(script), 0o755))
	dying := repo.New(repo.Config{Layout: w.layout, Git: git})
	if err := dying.Maintain(t.Context(), app); err == nil {
		t.Fatal("the repack did not fail")
	}
	half := filepath.Join(w.store.Dir(app), "objects/pack/.tmp-1-pack-x.pack")
	must(t, os.WriteFile(half, nil, 0o600))
	locked := filepath.Join(w.store.Dir(app), "packed-refs.lock")
	must(t, os.WriteFile(locked, nil, 0o600))
	must(t, dying.Maintain(t.Context(), app))
	must(t, dying.Prune(t.Context(), app, time.Hour))
	must(t, w.store.Sweep(t.Context(), app))
	for _, path := range []string{half, locked} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("swept while it was being made: %v", err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "repacks")); err != nil || len(b) != 1 {
		t.Errorf("%d repacks, %v", len(b), err)
	}

	must(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	deadline := time.After(20 * time.Second)
	for {
		must(t, w.store.Sweep(t.Context(), app))
		if _, err := os.Stat(locked); os.IsNotExist(err) {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("it has ended, and the repository is still locked")
		}
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("not swept: %v", err)
	}
	must(t, w.store.Maintain(t.Context(), app))
}
