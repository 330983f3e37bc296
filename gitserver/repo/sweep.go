package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway/deploy"
)

// Sweep removes what a git that was killed has left in app's repository: lock files and half
// received objects. It also sets what repositories made by former versions lack. Call it at start, before
// anything works in the repository.
func (s *Store) Sweep(_ context.Context, app deploy.AppName) error {
	dir := s.Dir(app)
	var failures []error
	remove := func(path string) {
		s.config.Logger.Warn("removing what a killed git left behind", "path", path)
		failures = append(failures, os.RemoveAll(path))
	}
	// A git may have outlived the server that had it maintain: what it is making is no leftover.
	m, err := s.maintain(app)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // of a folder that is no whole repository
		failures = append(failures, err)
	}
	patterns := leftovers()
	if m != nil {
		defer m.end()
		patterns = append(patterns, leftoversOfMaintenance()...)
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		failures = append(failures, err)
		for _, path := range found {
			if m != nil || filepath.Base(path) != "packed-refs.lock" {
				remove(path)
			}
		}
	}
	// Receive-pack marks a pack until its refs have moved. An operator's own marks are no concern of ours.
	kept, err := filepath.Glob(filepath.Join(escapeGlob(dir), "objects/pack/*.keep"))
	failures = append(failures, err)
	for _, path := range kept {
		if marksReceiving(path) {
			remove(path)
		}
	}
	failures = append(failures, filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".lock") {
			remove(path)
		}
		return err
	}))
	if err := configure(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		failures = append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("sweeping repository %s: %w", app, err)
	}
	return nil
}

// leftovers are patterns, in a repository, of what git makes on its way to something else.
func leftovers() []string {
	return []string{"*.lock", "objects/*.lock", "objects/info/*.lock", "objects/tmp_objdir-*", "objects/??/tmp_obj_*"}
}

// leftoversOfMaintenance are those that only a maintenance makes.
func leftoversOfMaintenance() []string {
	return []string{
		"packed-refs.new", "info/refs_*", "objects/info/packs_*",
		"objects/pack/*.lock", "objects/pack/tmp_*", "objects/pack/.tmp-*",
	}
}

// marksReceiving tells whether a mark on a pack is receive-pack's. Git does not sync what it writes into
// one, so a power cut empties it; that it is git's, and not an operator's, then only its mode still tells.
func marksReceiving(keep string) bool {
	b, err := os.ReadFile(keep)
	if err != nil || len(b) > 0 {
		return strings.HasPrefix(string(b), "receive-pack ")
	}
	info, err := os.Stat(keep)
	return err == nil && info.Mode().Perm() == 0o600
}

// SweepAll sweeps every repository, and removes repositories that were not quite made or removed.
func (s *Store) SweepAll(ctx context.Context) error {
	repos := s.config.Layout.Repos()
	failures := []error{
		os.RemoveAll(filepath.Join(repos, tempFolder)),
		os.RemoveAll(filepath.Join(repos, trashFolder)),
	}
	apps, err := s.Apps()
	failures = append(failures, err)
	for _, app := range apps {
		failures = append(failures, s.Sweep(ctx, app))
	}
	return errors.Join(failures...)
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
