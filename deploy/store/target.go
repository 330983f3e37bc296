package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"slipway/deploy"
)

type targetRow struct {
	AppID       uint32             `gorm:"primaryKey;autoIncrement:false"`
	Environment deploy.Environment `gorm:"primaryKey"`
	Serving     deploy.Number
	Revision    deploy.OID
	Previous    deploy.Number
	Frozen      string
	FrozenAt    moment
}

func (targetRow) TableName() string { return "targets" }

func (r targetRow) state(app deploy.AppName) deploy.TargetState {
	return deploy.TargetState{
		Target:  deploy.Target{App: app, Environment: r.Environment},
		Serving: r.Serving, Revision: r.Revision, Previous: r.Previous, Frozen: r.Frozen, FrozenAt: r.FrozenAt.Time,
	}
}

type releaseRow struct {
	AppID     uint32        `gorm:"primaryKey;autoIncrement:false"`
	Number    deploy.Number `gorm:"primaryKey;autoIncrement:false"`
	Revision  deploy.OID
	CreatedAt moment `gorm:"autoCreateTime:false"`
	PrunedAt  moment
}

func (releaseRow) TableName() string { return "releases" }

// TargetState tells what a target serves and whether it is frozen. A target that nothing happened to
// has a state with nothing but its name.
func (s *Store) TargetState(ctx context.Context, t deploy.Target) (deploy.TargetState, error) {
	t.Environment = cmp.Or(t.Environment, deploy.Production)
	db := s.read.WithContext(ctx)
	app, err := appNamed(db, t.App)
	if errors.Is(err, deploy.ErrNotFound) {
		return deploy.TargetState{Target: t}, nil
	}
	if err != nil {
		return deploy.TargetState{}, err
	}
	row, err := targetOf(db, app.ID, t.Environment)
	if err != nil {
		return deploy.TargetState{}, fmt.Errorf("reading the state of target %s: %w", t, err)
	}
	return row.state(t.App), nil
}

// targetOf returns a target's row, or a new one.
func targetOf(db *gorm.DB, app uint32, environment deploy.Environment) (targetRow, error) {
	row := targetRow{AppID: app, Environment: environment}
	err := db.Take(&row, "app_id = ? AND environment = ?", app, environment).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = nil
	}
	return row, err
}

// TargetStates returns the states of all targets of present apps that something happened to, by name.
func (s *Store) TargetStates(ctx context.Context) ([]deploy.TargetState, error) {
	var rows []struct {
		Target targetRow `gorm:"embedded"`
		App    deploy.AppName
	}
	err := s.read.WithContext(ctx).Table("targets").Select("targets.*, apps.name AS app").
		Joins("JOIN apps ON apps.id = targets.app_id AND apps.removed_at IS NULL").
		Order("apps.name, targets.environment").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading the states of the targets: %w", err)
	}
	states := make([]deploy.TargetState, len(rows))
	for i, row := range rows {
		states[i] = row.Target.state(row.App)
	}
	return states, nil
}

// Releases returns an app's accepted releases that are not pruned, newest first. Their Dir is empty:
// the data directory's layout is not known here.
func (s *Store) Releases(ctx context.Context, app deploy.AppName) ([]deploy.Release, error) {
	db := s.read.WithContext(ctx)
	row, err := appNamed(db, app)
	if err != nil {
		return nil, err
	}
	var rows []releaseRow
	if err := db.Order("number DESC").Find(&rows, "app_id = ? AND pruned_at IS NULL", row.ID).Error; err != nil {
		return nil, fmt.Errorf("reading the releases of %s: %w", app, err)
	}
	return each(rows, func(r releaseRow) deploy.Release {
		return deploy.Release{App: app, Number: r.Number, Revision: r.Revision, CreatedAt: r.CreatedAt.Time}
	}), nil
}

// serve makes the target of an accepted deployment serve its release.
func (c change) serve(d subject, data deploy.SwitchData) error {
	if d.AppID == 0 {
		return nil // the app was gone before; there is nothing to serve from
	}
	to := cmp.Or(data.To, d.Number)
	target, err := targetOf(c.tx, d.AppID, d.Environment)
	if err != nil {
		return err
	}
	if data.From != to {
		target.Previous = data.From
	}
	target.Serving, target.Revision = to, c.e.New
	if err := c.put(&target); err != nil {
		return err
	}
	release := releaseRow{AppID: d.AppID, Number: to, Revision: c.e.New, CreatedAt: at(c.e.At)}
	return c.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&release).Error
}

func (c change) targetFrozen(reason string) error {
	app, err := c.app()
	if err != nil {
		return err
	}
	target, err := targetOf(c.tx, app.ID, cmp.Or(c.e.Environment, deploy.Production))
	if err != nil {
		return err
	}
	target.Frozen, target.FrozenAt = reason, moment{}
	if c.e.Type == deploy.EventTargetFrozen {
		target.FrozenAt = at(c.e.At)
		target.Frozen = cmp.Or(reason, "no reason given") // without one it would look like no freeze
	}
	return c.put(&target)
}

func (c change) releasePruned() error {
	app, err := c.app()
	if err != nil {
		return err
	}
	return c.tx.Model(&releaseRow{}).Where("app_id = ? AND number = ?", app.ID, c.e.Deployment).
		Update("pruned_at", at(c.e.At)).Error
}
