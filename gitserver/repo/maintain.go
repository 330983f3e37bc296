package repo

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

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
