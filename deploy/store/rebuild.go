package store

import (
	"context"
	"fmt"
	"iter"

	"gorm.io/gorm"

	"slipway/deploy"
)

// eventsAtOnce is how many events are taken in together when the database is made anew.
const eventsAtOnce = 500

// Rebuild makes the database anew from the events, which are all of the log. It is one transaction:
// until it ends readers see what was there before, and if it fails nothing has changed. A mirror is
// emptied, to be filled from the log by whoever keeps it in step.
func (s *Store) Rebuild(ctx context.Context, events iter.Seq2[deploy.Event, error]) error {
	if s.mirror != nil {
		s.mirror.renew.Store(true)
	}
	err := s.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := empty(tx); err != nil {
			return err
		}
		some := make([]deploy.Event, 0, eventsAtOnce)
		for e, err := range events {
			if err != nil {
				return err
			}
			if some = append(some, e); len(some) < eventsAtOnce {
				continue
			}
			if err := s.projectTo(tx, some); err != nil {
				return err
			}
			some = some[:0]
		}
		return s.projectTo(tx, some)
	})
	if err != nil {
		return fmt.Errorf("making the database anew: %w", err)
	}
	_, _, err = s.Position(ctx)
	return err
}

// empty takes everything out, so that every event can be projected again.
func empty(tx *gorm.DB) error {
	for _, table := range []string{"sessions", "tokens", "words", "regressions", "releases", "targets", "stages", "deployments", "grants", "keys", "users", "apps", "events"} {
		if err := tx.Exec("DELETE FROM " + table).Error; err != nil {
			return fmt.Errorf("emptying the table %s: %w", table, err)
		}
	}
	return tx.Save(&position{ID: 1}).Error
}
