package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"slipway/deploy"
)

// ErrGap says that events are missing between the last one projected and the one given.
var ErrGap = errors.New("events are missing before this one")

// errUnfit says that an event fits nothing that is known.
var errUnfit = errors.New("the event fits nothing known")

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUnfit, fmt.Sprintf(format, args...))
}

// position is where the projection stands: the one row of its table.
type position struct {
	ID       int `gorm:"primaryKey"`
	Sequence uint64
	EventID  string
	Unfit    int64
}

func (position) TableName() string { return "projection" }

// LastSequence is the sequence of the event that was projected last; zero if there is none.
func (s *Store) LastSequence(ctx context.Context) (uint64, error) {
	sequence, _, err := s.Position(ctx)
	return sequence, err
}

// Position tells the sequence and the ID of the event that was projected last.
func (s *Store) Position(ctx context.Context) (uint64, string, error) {
	p, err := positionOf(s.write.WithContext(ctx)) // whoever makes the database anew asks, too
	if err != nil {
		return 0, "", fmt.Errorf("reading the position of the database: %w", err)
	}
	s.last.Store(p.Sequence)
	return p.Sequence, p.EventID, nil
}

func positionOf(db *gorm.DB) (position, error) {
	var p position
	err := db.Take(&p, 1).Error
	return p, translated(err)
}

// Project takes in events, in order, in one transaction. Those it has had already are passed over; a
// gap before one is an [ErrGap]. What an event says is never an error.
func (s *Store) Project(ctx context.Context, events ...deploy.Event) error {
	err := s.projectTo(s.write.WithContext(ctx), events)
	if err == nil && len(events) > 0 {
		s.last.Store(max(s.last.Load(), events[len(events)-1].Sequence))
	}
	return err
}

// projectTo is Project to a connection, or within a transaction.
func (s *Store) projectTo(db *gorm.DB, events []deploy.Event) error {
	err := s.project(db, events, true)
	if !constrained(err) {
		s.witness.see(err)
		return err
	}
	// One of them broke a rule of the schema, which none should: take in the others, and of that one only
	// that it was recorded.
	for i, e := range events {
		err := s.project(db, events[i:i+1], true)
		if constrained(err) {
			s.logger.Error("a recorded event broke a rule of the database", "sequence", e.Sequence, "type", e.Type, "error", err)
			err = s.project(db, events[i:i+1], false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) project(db *gorm.DB, events []deploy.Event, apply bool) error {
	return db.Transaction(func(tx *gorm.DB) error {
		p, err := positionOf(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}))
		if err != nil {
			return fmt.Errorf("projecting: %w", err)
		}
		fresh, err := p.after(events)
		if err != nil || len(fresh) == 0 {
			return err
		}
		rows, apps := make([]eventRow, len(fresh)), appsOf(tx)
		for i, e := range fresh {
			e = clean(e)
			rows[i] = eventRowOf(e)
			if rows[i].AppID, err = apps.during(e, func() error { return s.take(tx, &p, e, apply) }); err != nil {
				return fmt.Errorf("projecting event %d (%s): %w", e.Sequence, e.Type, err)
			}
		}
		if err := tx.CreateInBatches(rows, rowsAtOnce).Error; err != nil {
			return fmt.Errorf("projecting: %w", err)
		}
		return tx.Save(&p).Error
	})
}

// rowsAtOnce is how many rows one statement inserts.
const rowsAtOnce = 100

// after returns the events that come after the position, which must follow it without gaps.
func (p position) after(events []deploy.Event) ([]deploy.Event, error) {
	for len(events) > 0 && events[0].Sequence <= p.Sequence {
		events = events[1:]
	}
	for i, e := range events {
		if want := p.Sequence + 1 + uint64(i); e.Sequence != want {
			return nil, fmt.Errorf("projecting event %d (%s): %w: event %d was to come", e.Sequence, e.Type, ErrGap, want)
		}
	}
	return events, nil
}

// take takes in what one event changes and moves the position to it.
func (s *Store) take(tx *gorm.DB, p *position, e deploy.Event, apply bool) error {
	p.Sequence, p.EventID = e.Sequence, e.ID
	err := errUnfit
	if apply {
		err = change{tx: tx, e: e}.apply()
	}
	if errors.Is(err, errUnfit) {
		p.Unfit++
		if apply {
			s.logger.Warn("a recorded event changes nothing", "sequence", e.Sequence, "type", e.Type, "error", err)
		}
		return nil
	}
	return err
}

// change is what one event does to the rows. Its methods look first and write then, so that one that
// returns errUnfit has written nothing.
type change struct {
	tx *gorm.DB
	e  deploy.Event
}

func (c change) apply() error {
	switch c.e.Type {
	case deploy.EventUserCreated:
		return c.userCreated()
	case deploy.EventUserRemoved:
		return c.userRemoved()
	case deploy.EventKeyAdded:
		return c.keyAdded()
	case deploy.EventKeyRemoved:
		return c.keyRemoved()
	case deploy.EventAppCreated:
		return c.appCreated()
	case deploy.EventAppRemoved:
		return c.appRemoved()
	case deploy.EventGrantSet:
		return c.grantSet()
	case deploy.EventTargetFrozen:
		return c.targetFrozen(c.e.Reason)
	case deploy.EventTargetUnfrozen:
		return c.targetFrozen("")
	case deploy.EventReleasePruned:
		return c.releasePruned()
	case deploy.EventTokenCreated:
		return c.tokenCreated()
	case deploy.EventTokenRevoked:
		return c.tokenRevoked()
	case deploy.EventSessionOpened:
		return c.sessionOpened()
	case deploy.EventSessionClosed:
		return c.sessionClosed()
	case deploy.EventStageStarted:
		return c.stageStarted()
	case deploy.EventStageFinished:
		return c.stageFinished()
	}
	return c.applyDeployment()
}

func (c change) applyDeployment() error {
	switch c.e.Type {
	case deploy.EventDeploymentQueued:
		return c.queued()
	case deploy.EventDeploymentStarted:
		return c.started()
	case deploy.EventSwitchIntended:
		return c.update(map[string]any{"switched_at": at(c.e.At)})
	case deploy.EventRollbackIntended:
		return c.rolledBack(RollbackIntended)
	case deploy.EventRollbackDone:
		return c.rolledBack(RollbackDone)
	case deploy.EventRollbackFailed:
		return c.rolledBack(RollbackFailed)
	case deploy.EventAccepted:
		return c.accepted()
	case deploy.EventRefMoved:
		return c.refMoved()
	case deploy.EventRejected:
		return c.ended(deploy.StatusRejected)
	case deploy.EventCanceled:
		return c.ended(deploy.StatusCanceled)
	case deploy.EventInterrupted:
		return c.ended(deploy.StatusInterrupted)
	case deploy.EventErrored:
		return c.ended(deploy.StatusErrored)
	case deploy.EventRegressionMarked:
		return c.regressionMarked()
	}
	return nil // it is kept among the events, and that is all
}

// data reads the event's data into v.
func (c change) data(v any) error {
	if err := json.Unmarshal(c.e.Data, v); err != nil {
		return unfit("its data: %v", err)
	}
	return nil
}

// put inserts a row, or replaces the one with the same key.
func (c change) put(row any) error {
	return c.tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(row).Error
}
