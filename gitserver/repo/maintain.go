package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// maxPacks is how many packs a repository has before they are joined. Every push is one.
const maxPacks = 50

// maintenanceFile is locked by who maintains the repository.
const maintenanceFile = "objects/info/slipway-maintenance"

// maintenance is the right to rearrange a repository's packs. Two who do that at once take each other's
// half-made packs for packs ("could not find pack '.tmp-…'"). The lock is the kernel's, on an open file that
// every git which works under it inherits: when the server is killed, it lasts until its git and what that
// has started have ended, too, and the next server does not begin beside them.
type maintenance struct {
	store *Store
	app   deploy.AppName
	lock  *os.File
}

// maintain begins maintenance; it returns nil if the repository is being maintained already.
func (s *Store) maintain(app deploy.AppName) (*maintenance, error) {
	f, err := os.OpenFile(filepath.Join(s.Dir(app), maintenanceFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking repository %s for maintenance: %w", app, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &maintenance{store: s, app: app, lock: f}, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("locking repository %s for maintenance: %w", app, err)
}

// git runs a git that holds the lock for as long as it, or what it started, lives.
func (m *maintenance) git(ctx context.Context, args ...string) error {
	cmd := m.store.in(ctx, m.app, args...)
	cmd.ExtraFiles = []*os.File{m.lock}
	_, err := output(cmd)
	return err
}

// end sweeps what a git that failed has left, and gives up the lock.
func (m *maintenance) end() {
	for _, path := range m.store.halfMadePacks(m.app) {
		_ = os.Remove(path) // the next maintenance tries again
	}
	m.lock.Close()
}

// halfMadePacks are the files of packs in the making, which may be as large as the repository. Packs that
// are being received are in a folder of their own.
func (s *Store) halfMadePacks(app deploy.AppName) []string {
	var all []string
	for _, pattern := range []string{"tmp_*", ".tmp-*"} {
		found, _ := filepath.Glob(filepath.Join(escapeGlob(s.Dir(app)), "objects", "pack", pattern)) // well-formed
		all = append(all, found...)
	}
	return all
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
	m, err := s.maintain(app)
	if m == nil {
		return err
	}
	defer m.end()
	for _, args := range [][]string{
		{"repack", "-q", "-d", "--geometric=2"},
		{"pack-refs", "--all"},
	} {
		if err := m.git(ctx, args...); err != nil {
			return fmt.Errorf("maintaining repository %s: %w", app, err)
		}
	}
	if err := durable.SyncDirs(filepath.Join(s.Dir(app), "objects", "pack"), s.Dir(app)); err != nil {
		return fmt.Errorf("maintaining repository %s: %w", app, err)
	}
	return nil
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
	m, err := s.maintain(app)
	if m == nil {
		return err
	}
	defer m.end()
	before := fmt.Sprintf("%d.seconds.ago", int64(grace/time.Second))
	// Git 2.37 and later keep what is too young to go in a pack of its own; before, in a file each.
	err = m.git(ctx, "repack", "-q", "-d", "--cruft", "--cruft-expiration="+before)
	if status, ok := exitStatus(err); ok && status == usageStatus {
		err = m.git(ctx, "repack", "-q", "-d", "-A", "--unpack-unreachable="+before)
	}
	if err == nil {
		err = m.git(ctx, "prune", "--expire="+before)
	}
	if err == nil {
		err = durable.SyncDirs(filepath.Join(s.Dir(app), "objects", "pack"))
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
