package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"slipway/deploy"
)

// eventRow is an event, whole.
type eventRow struct {
	Sequence    uint64 `gorm:"primaryKey;autoIncrement:false"`
	ID          string
	Type        deploy.EventType
	At          moment
	ActorType   deploy.ActorType
	ActorName   string
	ActorKey    string
	ActorIP     string
	ActorOrigin string
	App         deploy.AppName
	Environment deploy.Environment
	Ref         deploy.RefName
	OldOID      deploy.OID `gorm:"column:old_oid"`
	NewOID      deploy.OID `gorm:"column:new_oid"`
	Deployment  deploy.Number
	Stage       deploy.StageName
	Outcome     deploy.Outcome
	Reason      string
	Data        string
	AppID       uint32 // of the app that had the name then; zero for none
}

func (eventRow) TableName() string { return "events" }

func eventRowOf(e deploy.Event) eventRow {
	return eventRow{
		Sequence: e.Sequence, ID: e.ID, Type: e.Type, At: at(e.At),
		ActorType: e.Actor.Type, ActorName: e.Actor.Name, ActorKey: e.Actor.Key, ActorIP: e.Actor.IP, ActorOrigin: e.Actor.Origin,
		App: e.App, Environment: e.Environment, Ref: e.Ref, OldOID: e.Old, NewOID: e.New,
		Deployment: e.Deployment, Stage: e.Stage, Outcome: e.Outcome, Reason: e.Reason, Data: string(e.Data),
	}
}

func (r eventRow) event() deploy.Event {
	e := deploy.Event{
		Sequence: r.Sequence, ID: r.ID, Type: r.Type, At: r.At.Time,
		Actor: deploy.Actor{Type: r.ActorType, Name: r.ActorName, Key: r.ActorKey, IP: r.ActorIP, Origin: r.ActorOrigin},
		App:   r.App, Environment: r.Environment, Ref: r.Ref, Old: r.OldOID, New: r.NewOID,
		Deployment: r.Deployment, Stage: r.Stage, Outcome: r.Outcome, Reason: r.Reason,
	}
	if r.Data != "" {
		e.Data = json.RawMessage(r.Data)
	}
	return e
}

// Events returns events that fit the filter, newest first.
func (s *Store) Events(ctx context.Context, f deploy.EventFilter) ([]deploy.Event, error) {
	rows, err := ask(ctx, s, func(db *gorm.DB) ([]eventRow, error) { return eventsOf(db, f) })
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	if f.After != 0 {
		slices.Reverse(rows)
	}
	return each(rows, eventRow.event), nil
}

func eventsOf(db *gorm.DB, f deploy.EventFilter) ([]eventRow, error) {
	q := db.Order("sequence " + newestFirst(f.After == 0)).Limit(pageSize(f.Limit))
	where := func(wanted bool, condition string, args ...any) {
		if wanted {
			q = q.Where(condition, args...)
		}
	}
	where(f.App != "", "app = ? AND app <> ''", f.App) // the second half is the index's
	where(f.Deployment != 0, "deployment = ? AND deployment <> 0", f.Deployment)
	where(f.Type != "", "type = ?", f.Type)
	where(f.Actor != "", "actor_name = ?", f.Actor)
	where(!f.Since.IsZero(), "at >= ?", at(f.Since))
	where(!f.Until.IsZero(), "at < ?", at(f.Until))
	where(f.Before != 0, "sequence < ?", f.Before)
	where(f.After != 0, "sequence > ?", f.After)
	if f.VisibleTo != (deploy.Scope{}) {
		apps, err := scope(db, "", f.VisibleTo)
		if err != nil {
			return nil, err
		}
		where(!apps.all, "app_id IN ? AND app_id <> 0", apps.ids)
	}
	var rows []eventRow
	err := q.Find(&rows).Error
	return rows, err
}

// newestFirst is the order of a page; one that comes after a number is read from its other end.
func newestFirst(is bool) string {
	if is {
		return "DESC"
	}
	return "ASC"
}

// The sizes of a page of results.
const (
	defaultPage = 50
	maxPage     = 1000
)

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}

// each turns rows into what they stand for.
func each[Row, T any](rows []Row, of func(Row) T) []T {
	all := make([]T, len(rows))
	for i, row := range rows {
		all[i] = of(row)
	}
	return all
}
