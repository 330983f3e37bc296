package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Store is the database. Close it when nobody uses it any more.
type Store struct {
	write, read pool
	current     *current
	logger      *slog.Logger
	replaced    Replaced
	patience    time.Duration // with a check of the whole file before it is used
	witness     witness
	mirror      *Mirror       // nil for none
	last        atomic.Uint64 // the event projected last
}

// Replaced tells of a database that could not be used and was put aside for an empty one.
type Replaced struct {
	Aside string // where it is now; empty if there was nothing wrong
	Cause error
}

// Open opens a database and brings its schema up to date. where is the path of an SQLite file, which is
// made if it is missing, or the URL of a PostgreSQL database, postgres://….
//
// A file that is damaged, no database, or of a schema that this program does not know is moved aside and
// replaced by an empty one; [Store.Replaced] tells. A file that cannot be reached is an error, and so is
// whatever is wrong with PostgreSQL; [ErrInUse] says that another server has the database. A large file
// is used before it is looked through, which [Store.Tend] does. logger nil means slog.Default.
func Open(ctx context.Context, where string, logger *slog.Logger) (*Store, error) {
	return openWith(ctx, where, logger, checkPatience)
}

// checkPatience is how long a server that starts waits for the check of the whole file. It is enough for
// some hundred megabytes; [Store.Tend] checks the rest.
const checkPatience = time.Second

func openWith(ctx context.Context, where string, logger *slog.Logger, patience time.Duration) (*Store, error) {
	if logger == nil {
		logger = slog.Default()
	}
	s := &Store{current: &current{}, logger: logger, patience: patience, witness: witness{make(chan error, 1)}}
	s.write, s.read = pool{s.current, writing}, pool{s.current, reading}
	db, err := s.open(ctx, where)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	s.current.use(db)
	return s, nil
}

func (s *Store) open(ctx context.Context, where string) (*database, error) {
	scheme, _, isURL := strings.Cut(where, "://")
	if isURL && scheme != "postgres" && scheme != "postgresql" {
		return nil, fmt.Errorf("%s://…: it is the path of an SQLite file, or postgres://…", scheme)
	}
	if isURL {
		return openPostgres(ctx, where)
	}
	db, err := openSQLite(ctx, where, s.patience, s.witness)
	if err == nil || !damaged(err) {
		return db, err
	}
	return s.insteadOf(ctx, where, err)
}

// insteadOf moves a file aside and makes an empty one in its place.
func (s *Store) insteadOf(ctx context.Context, path string, cause error) (*database, error) {
	aside, err := moveAside(path, time.Now())
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	s.logger.Warn("the database could not be used and is moved aside; it is made anew from the audit log",
		"path", path, "aside", aside, "error", cause)
	db, err := openSQLite(ctx, path, s.patience, s.witness)
	if err == nil {
		s.current.mu.Lock()
		s.replaced = Replaced{Aside: aside, Cause: cause}
		s.current.mu.Unlock()
	}
	return db, err
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

// Replaced tells whether another database was put aside for this one.
func (s *Store) Replaced() Replaced {
	s.current.mu.Lock()
	defer s.current.mu.Unlock()
	return s.replaced
}

// Close closes all connections.
func (s *Store) Close() error {
	return s.current.get().close()
}
