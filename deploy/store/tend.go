package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"gorm.io/gorm/logger"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"slipway/deploy"
)

// witness is told what every statement came to, as gorm's logger, and remembers one that found the
// database damaged.
type witness struct{ harm chan error }

func (w witness) LogMode(logger.LogLevel) logger.Interface { return w }
func (w witness) Info(context.Context, string, ...any)     {}
func (w witness) Warn(context.Context, string, ...any)     {}
func (w witness) Error(context.Context, string, ...any)    {}
func (w witness) Trace(_ context.Context, _ time.Time, _ func() (string, int64), err error) {
	w.see(err)
}

func (w witness) see(err error) {
	if err == nil || !harmed(err) {
		return
	}
	select {
	case w.harm <- err:
	default: // another one was seen before
	}
}

// harmed tells an error of a database that was in use and has been damaged, or taken away, since.
func harmed(err error) bool {
	if errors.Is(err, errDamaged) {
		return true
	}
	if e, ok := errors.AsType[*driver.Error](err); ok && e.Code() == codes.SQLITE_READONLY_DBMOVED {
		return true
	}
	code := primary(err)
	return code == codes.SQLITE_CORRUPT || code == codes.SQLITE_NOTADB
}

// Rebuild is audit.Recorder.Rebuild: it calls anew with every event, while none is recorded.
type Rebuild func(ctx context.Context, anew func(context.Context, iter.Seq2[deploy.Event, error]) error) error

// Tend looks through what [Open] had no time for and then waits. Whenever the database file turns out to
// be damaged or gone it is moved aside and made anew, and whoever reads waits meanwhile. It returns nil
// when ctx ends.
func (s *Store) Tend(ctx context.Context, rebuild Rebuild) error {
	if db := s.current.get(); db.unchecked {
		s.witness.see(quickCheck(ctx, db.read))
	}
	again := time.NewTicker(tendInterval)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case cause := <-s.witness.harm:
			if err := s.anew(ctx, cause, rebuild); err != nil && ctx.Err() == nil {
				s.logger.Error("the database is damaged and could not be made anew; trying again", "error", err)
				s.witness.see(cause)
			}
		}
		select { // not more often than this
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// tendInterval is the least time between two attempts to make a database anew.
const tendInterval = time.Second

// anew replaces the database file and fills the new one. Whoever reads waits meanwhile: there is nothing to
// read yet.
func (s *Store) anew(ctx context.Context, cause error, rebuild Rebuild) error {
	return rebuild(ctx, func(ctx context.Context, events iter.Seq2[deploy.Event, error]) error {
		defer s.current.hold()()
		if err := s.replace(ctx, cause); err != nil {
			return err
		}
		return s.Rebuild(ctx, events)
	})
}

func (s *Store) replace(ctx context.Context, cause error) error {
	old := s.current.get()
	// The last connection that is closed removes files by their names: that must be before the new ones
	// have these names.
	if err := old.unused(ctx); err != nil {
		return err
	}
	_ = old.close() // it is damaged; whether it could be written to its end is of no interest
	db, err := s.insteadOf(ctx, old.path, cause)
	if err == nil {
		s.current.use(db)
	}
	return err
}
