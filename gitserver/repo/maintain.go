package repo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"slipway/deploy"
)

// maxPacks is how many packs a repository has before they are joined. Every push is one.
const maxPacks = 50

// maintenance lets one work on a repository at a time.
type maintenance struct {
	mu   sync.Mutex
	busy map[deploy.AppName]bool
}

func (m *maintenance) begin(app deploy.AppName) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[app] {
		return false
	}
	if m.busy == nil {
		m.busy = map[deploy.AppName]bool{}
	}
	m.busy[app] = true
	return true
}

func (m *maintenance) end(app deploy.AppName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, app)
}

// NeedsMaintenance tells whether app's repository has become slow to read.
func (s *Store) NeedsMaintenance(app deploy.AppName) bool {
	packs, err := filepath.Glob(filepath.Join(escapeGlob(s.Dir(app)), "objects", "pack", "*.pack"))
	return err == nil && len(packs) > maxPacks
}

// Maintain joins packs, small ones into larger ones, so that the work grows with what is new, and
// packs refs. It removes no object, reachable or not: pushes that are being received or decided have
// objects that no ref shows yet. Pushes and fetches go on beside it. If app's repository is being
// maintained already, it does nothing.
func (s *Store) Maintain(ctx context.Context, app deploy.AppName) error {
	if !s.maintaining.begin(app) {
		return nil
	}
	defer s.maintaining.end(app)
	defer s.sweepPacks(app)
	for _, args := range [][]string{
		{"repack", "-q", "-d", "--geometric=2"},
		{"pack-refs", "--all"},
	} {
		if _, err := s.git(ctx, app, args...); err != nil {
			return fmt.Errorf("maintaining repository %s: %w", app, err)
		}
	}
	if err := syncDirs(filepath.Join(s.Dir(app), "objects", "pack"), s.Dir(app)); err != nil {
		return fmt.Errorf("maintaining repository %s: %w", app, err)
	}
	return nil
}

// sweepPacks removes what a repack that failed has left, which may be as large as the repository. Packs
// that are being received are in a folder of their own.
func (s *Store) sweepPacks(app deploy.AppName) {
	for _, pattern := range []string{"tmp_*", ".tmp-*"} {
		left, _ := filepath.Glob(filepath.Join(escapeGlob(s.Dir(app)), "objects", "pack", pattern))
		for _, path := range left {
			_ = os.Remove(path) // the sweep at start tries again
		}
	}
}

// pruneInterval is how often a repository that is not in need is looked through for what to prune:
// that reads all of it.
const pruneInterval = 7 * 24 * time.Hour

// prunedFile, whose time counts, is touched in a repository that was pruned.
const prunedFile = "objects/info/slipway-pruned"

// Prune removes objects that no ref reaches and that are older than grace, which must be longer than
// any push takes to be received and to get a ref: its objects have none until then. With a grace of a
// day or more it does something once a week only. If app's repository is being maintained already, it
// does nothing.
func (s *Store) Prune(ctx context.Context, app deploy.AppName, grace time.Duration) error {
	stamp := filepath.Join(s.Dir(app), prunedFile)
	if info, err := os.Stat(stamp); err == nil && grace >= 24*time.Hour && time.Since(info.ModTime()) < pruneInterval {
		return nil
	}
	if !s.maintaining.begin(app) {
		return nil
	}
	defer s.maintaining.end(app)
	defer s.sweepPacks(app)
	before := fmt.Sprintf("%d.seconds.ago", int64(grace/time.Second))
	// Git 2.37 and later keep what is too young to go in a pack of its own; before, in a file each.
	_, err := s.git(ctx, app, "repack", "-q", "-d", "--cruft", "--cruft-expiration="+before)
	if status, ok := exitStatus(err); ok && status == usageStatus {
		_, err = s.git(ctx, app, "repack", "-q", "-d", "-A", "--unpack-unreachable="+before)
	}
	if err == nil {
		_, err = s.git(ctx, app, "prune", "--expire="+before)
	}
	if err == nil {
		err = syncDirs(filepath.Join(s.Dir(app), "objects", "pack"))
	}
	if err == nil {
		err = os.WriteFile(stamp, nil, 0o600)
	}
	if err == nil {
		now := time.Now()
		err = os.Chtimes(stamp, now, now)
	}
	if err != nil {
		return fmt.Errorf("pruning repository %s: %w", app, err)
	}
	return nil
}

// usageStatus is how git ends when it does not know an option.
const usageStatus = 129
