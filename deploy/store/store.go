package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"gorm.io/gorm"

	"slipway/deploy"
)

// Store is the database. Close it when nobody uses it any more.
type Store struct {
	write, read *gorm.DB
	logger      *slog.Logger
	replaced    Replaced
}

// Replaced tells of a database that could not be used and was put aside for an empty one.
type Replaced struct {
	Aside string // where it is now; empty if there was nothing wrong
	Cause error
}

// Open opens the database file at path, brings its schema up to date, and makes it if it is missing. A
// file that is damaged, no database, or of a schema that this program does not know is moved aside and
// replaced by an empty one; [Store.Replaced] tells. A file that cannot be reached is an error. logger
// nil means slog.Default.
func Open(ctx context.Context, path string, logger *slog.Logger) (*Store, error) {
	if logger == nil {
		logger = slog.Default()
	}
	if strings.Contains(path, "://") {
		return nil, fmt.Errorf("opening the database: %q: only the path of an SQLite file is understood", path)
	}
	s, err := open(ctx, path, logger)
	if err == nil || !damaged(err) {
		return s, err
	}
	cause := err
	aside, err := moveAside(path, time.Now())
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	logger.Warn("the database could not be used and is moved aside; it is made anew from the audit log",
		"path", path, "aside", aside, "error", cause)
	if s, err = open(ctx, path, logger); err != nil {
		return nil, err
	}
	s.replaced = Replaced{Aside: aside, Cause: cause}
	return s, nil
}

func open(ctx context.Context, path string, logger *slog.Logger) (*Store, error) {
	if err := touch(path); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	s := &Store{logger: logger}
	if err := s.connect(ctx, path); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context, path string) error {
	var err error
	if s.write, err = connect(path, writing, 1); err != nil {
		return err
	}
	if err := quickCheck(ctx, s.write); err != nil {
		return err
	}
	pool, err := s.write.DB()
	if err != nil {
		return err
	}
	if err := migrate(ctx, pool, migrations()); err != nil {
		return err
	}
	if _, err := positionOf(s.write.WithContext(ctx)); errors.Is(err, deploy.ErrNotFound) {
		return fmt.Errorf("%w: it does not say which event it had last", errDamaged)
	} else if err != nil {
		return err
	}
	s.read, err = connect(path, reading, readers)
	return err
}

// touch makes the file if it is missing, readable by its owner only; SQLite gives its other files the
// same mode.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// moveAside renames the database and what belongs to it.
func moveAside(path string, now time.Time) (string, error) {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405.000000Z")
	for _, suffix := range []string{"-wal", "-shm", ""} {
		err := os.Rename(path+suffix, aside+suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("moving the database aside: %w", err)
		}
	}
	return aside, nil
}

// Replaced tells whether Open put another database aside for this one.
func (s *Store) Replaced() Replaced { return s.replaced }

// Close closes all connections.
func (s *Store) Close() error {
	var all []error
	for _, db := range []*gorm.DB{s.read, s.write} {
		if db == nil {
			continue
		}
		pool, err := db.DB()
		if err == nil {
			err = pool.Close()
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}
