package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/retention"
	"slipway/deploy/store"
	"slipway/gitserver/repo"
)

// The data directory and the records in it.

// withItsLog refuses a data directory whose audit log is missing: a new one would know nothing of the apps that
// are there.
func withItsLog(l deploy.Layout) error {
	if there, err := audit.Exists(l.Audit()); there || err != nil {
		return err
	}
	if err := cutOff(l); err != nil {
		return err
	}
	repos := repo.New(repo.Config{Layout: l})
	apps, err := repos.Apps()
	if err != nil || len(apps) == 0 {
		return err
	}
	var repositories []string
	for _, app := range apps {
		repositories = append(repositories, filepath.Base(repos.Dir(app)))
	}
	return fmt.Errorf("%s has repositories (%s) and no audit log, which says what is of them in production: bring %s back, or restore a backup into another directory",
		l, strings.Join(repositories, ", "), l.Audit())
}

// makeFolders makes the data directory. Sandboxed processes have another user id and must be able to
// pass through to their trees, but not to list anything.
func makeFolders(l deploy.Layout) error {
	for dir, mode := range map[string]fs.FileMode{
		string(l): 0o711, filepath.Join(string(l), "apps"): 0o711, filepath.Join(string(l), "deployments"): 0o700,
		l.Repos(): 0o700, l.Hooks(): 0o700, l.Router(): 0o700, l.Audit(): 0o700,
	} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
	}
	return nil
}

// openRecords opens the audit log, which one server at a time can, and the database derived from it.
func (s *server) openRecords(ctx context.Context) error {
	l := s.config.layout
	var err error
	if s.log, err = audit.Open(l.Audit(), audit.Config{Logger: s.logger}); err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	if s.store, err = store.Open(ctx, l.Database(), s.logger); err != nil {
		_ = s.log.Close()
		return fmt.Errorf("opening the database: %w", err)
	}
	if s.config.Database != "" {
		s.mirror = store.NewMirror(s.config.Database, s.logger)
		s.store.Answers(s.mirror)
	}
	s.recorder = audit.NewRecorder(s.log, s.points.projection(s.store), s.logger)
	s.reserve = retention.NewReserve(l.Reserve(), s.recorder, s.logger)
	if err := s.recorder.CatchUp(ctx); err != nil {
		s.close()
		return fmt.Errorf("bringing the database up to date with the audit log: %w", err)
	}
	return nil
}

// follow keeps PostgreSQL in step with the audit log, if it is configured. Nothing here waits for it.
func (s *server) follow(ctx context.Context) error {
	if s.mirror == nil {
		return nil
	}
	defer s.mirror.Close()
	return s.recorder.Follow(ctx, s.mirror)
}

func (s *server) close() {
	s.recorder.Wait()
	if err := errors.Join(s.store.Close(), s.log.Close()); err != nil {
		s.logger.Error("closing the records", "error", err)
	}
}

// bootID tells one boot of this machine from another; proc(5).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
