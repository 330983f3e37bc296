package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"gorm.io/gorm"

	"slipway/deploy"
)

// Statistics counts what became of the deployments of the filter's span. It reads each of them once, in their
// order, and keeps in memory a few numbers of each; percentiles are made here, so that every
// database gives the same.
func (s *Store) Statistics(ctx context.Context, f deploy.StatisticsFilter) (deploy.Statistics, error) {
	var result deploy.Statistics
	err := s.read.WithContext(ctx).Transaction(func(tx *gorm.DB) error { // all of it of one moment
		apps, err := scope(tx, f.App, f.VisibleTo)
		if err != nil {
			return err
		}
		result, err = survey{tx: tx, apps: apps}.of(f)
		return err
	})
	if err != nil {
		return deploy.Statistics{}, fmt.Errorf("making statistics: %w", err)
	}
	return result, nil
}

// survey reads what statistics are made of.
type survey struct {
	tx          *gorm.DB
	apps        selection
	from, until time.Time
	first       deploy.Number // that may be within
}

func (v survey) of(f deploy.StatisticsFilter) (deploy.Statistics, error) {
	v.from, v.until = f.Span()
	var err error
	if v.first, err = v.firstSince(v.from); err != nil {
		return deploy.Statistics{}, err
	}
	regressions, err := v.regressions()
	if err != nil {
		return deploy.Statistics{}, err
	}
	t := newTallier(f.App, v.from, v.until, regressions)
	for _, part := range []func(*tallier) error{v.deployments, v.stages, v.refused} {
		if err := part(t); err != nil {
			return deploy.Statistics{}, err
		}
	}
	return t.result(), nil
}

// firstSince is the first number of which all numbers before it were queued earlier than from.
func (v survey) firstSince(from time.Time) (deploy.Number, error) {
	var first []deploy.Number
	err := v.tx.Model(&deploymentRow{}).Where("queued_order >= ?", at(from)).Order("queued_order, number").Limit(1).Pluck("number", &first).Error
	if err != nil || len(first) == 0 {
		return math.MaxInt64, err
	}
	return first[0], nil
}

// within selects the span's deployments of the apps. They are gone through by their numbers, in the order
// in which they lie, and not by an index of times, of which the plus keeps SQLite.
func (v survey) within(q *gorm.DB) *gorm.DB {
	q = q.Where("deployments.number >= ? AND +deployments.queued_at >= ? AND +deployments.queued_at < ?", v.first, at(v.from), at(v.until))
	if !v.apps.all {
		q = q.Where("deployments.app_id IN ?", v.apps.ids)
	}
	return q
}

func (v survey) regressions() (map[deploy.Number]deploy.Regression, error) {
	var rows []regressionRow
	err := v.within(v.tx.Model(&regressionRow{}).Select("regressions.*").
		Joins("JOIN deployments ON deployments.number = regressions.deployment")).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading regressions: %w", err)
	}
	all := map[deploy.Number]deploy.Regression{}
	for _, row := range rows {
		all[row.Deployment] = row.regression()
	}
	return all, nil
}

// counted are the columns that statistics are made of. Words about a failure are of failures alone: nearly
// all rows are spared the reading of them.
const counted = `number, app_id, app, status, previous, bypass, again, again_of, queued_at, started_at, switched_at, finished_at,
	commit_authored_at, roll_back, roll_back_at,
	CASE WHEN status IN ('rejected', 'errored') THEN failed_stage END,
	CASE WHEN status IN ('rejected', 'errored') THEN signature END,
	CASE WHEN status IN ('rejected', 'errored') THEN reason END`

// deployments hands the rows on one by one. They are read by hand: there may be very many.
func (v survey) deployments(t *tallier) error {
	rows, err := v.within(v.tx.Model(&deploymentRow{})).Select(counted).Order("number").Rows()
	if err != nil {
		return fmt.Errorf("reading deployments: %w", err)
	}
	defer rows.Close()
	var row deploymentRow
	var stage, signature, reason sql.NullString
	into := []any{
		&row.Number, &row.AppID, (*string)(&row.App), (*string)(&row.Status), &row.Previous, &row.Bypass, (*string)(&row.Again), &row.AgainOf,
		&row.QueuedAt, &row.StartedAt, &row.SwitchedAt, &row.FinishedAt, &row.CommitAuthoredAt, (*string)(&row.RollBack), &row.RollBackAt,
		&stage, &signature, &reason,
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("reading deployments: %w", err)
		}
		row.FailedStage, row.Signature, row.Reason = deploy.StageName(stage.String), signature.String, reason.String
		t.add(row)
	}
	return rows.Err()
}

// stages hands on how long the stages took that came to an end.
func (v survey) stages(t *tallier) error {
	rows, err := v.within(v.tx.Model(&stageRow{}).Select("stages.name, stages.started_at, stages.finished_at").
		Joins("JOIN deployments ON deployments.number = stages.deployment")).
		Where("stages.deployment >= ?", v.first).Where("stages.outcome IN ?", []deploy.Outcome{deploy.OutcomePass, deploy.OutcomeFail}).Rows()
	if err != nil {
		return fmt.Errorf("reading stages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name deploy.StageName
		var from, until moment
		if err := rows.Scan(&name, &from, &until); err != nil {
			return fmt.Errorf("reading stages: %w", err)
		}
		t.took[name] = append(t.took[name], span(from, until))
	}
	return rows.Err()
}

// refused hands on when pushes were refused that got no number.
func (v survey) refused(t *tallier) error {
	q := v.tx.Model(&eventRow{}).Select("at").Where("type = ? AND at >= ? AND at < ?", deploy.EventPushRefused, at(v.from), at(v.until))
	if !v.apps.all {
		q = q.Where("app_id IN ? AND app_id <> 0", v.apps.ids) // not by name, which may have been given again
	}
	rows, err := q.Rows()
	if err != nil {
		return fmt.Errorf("reading refused pushes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var when moment
		if err := rows.Scan(&when); err != nil {
			return fmt.Errorf("reading refused pushes: %w", err)
		}
		t.count(when.Time, func(c *deploy.Tally) { c.Refused++ })
	}
	return rows.Err()
}

// span is the time between two moments; a clock that was set back makes none.
func span(from, until moment) time.Duration { return max(until.Sub(from.Time), 0) }
