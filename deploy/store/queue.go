package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/deploy"
)

// Queue returns the deployments within the scope that have not ended, in the order of their turns, each
// with the stage that it is in.
func (s *Store) Queue(ctx context.Context, within deploy.Scope) ([]deploy.QueueEntry, error) {
	db := s.read.WithContext(ctx)
	apps, err := scope(db, "", within)
	if err != nil {
		return nil, fmt.Errorf("reading the queue: %w", err)
	}
	var rows []struct {
		Row   deploymentRow `gorm:"embedded"`
		Stage deploy.StageName
		Since moment
	}
	// Of two stages that run, test sets side by side, the one that began last.
	err = of(apps, db.Table("deployments").Select("deployments.*, COALESCE(stages.name, '') AS stage, stages.started_at AS since").
		Joins("LEFT JOIN stages ON stages.deployment = number AND stages.outcome = '' AND stages.sequence = "+
			"(SELECT MAX(s.sequence) FROM stages s WHERE s.deployment = number AND s.outcome = '')").
		Where("NOT settled AND status IN ?", []deploy.Status{deploy.StatusQueued, deploy.StatusRunning})).
		Order("number").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading the queue: %w", err)
	}
	all := make([]deploy.QueueEntry, len(rows))
	for i, r := range rows {
		all[i] = deploy.QueueEntry{Deployment: r.Row.deployment(), Stage: r.Stage, StageStartedAt: r.Since.Time}
	}
	return all, nil
}

// StagesOf returns the stages of several deployments, each in the order they began. A deployment without
// any is not among the keys.
func (s *Store) StagesOf(ctx context.Context, numbers ...deploy.Number) (map[deploy.Number][]deploy.Stage, error) {
	all := make(map[deploy.Number][]deploy.Stage, len(numbers))
	for some := range slices.Chunk(numbers, maxPage) {
		var rows []stageRow
		err := s.read.WithContext(ctx).Order("deployment, sequence").Find(&rows, "deployment IN ?", some).Error
		if err != nil {
			return nil, fmt.Errorf("reading the stages of %d deployments: %w", len(numbers), err)
		}
		for _, r := range rows {
			all[r.Deployment] = append(all[r.Deployment], r.stage())
		}
	}
	return all, nil
}

// medianOf is how many deployments a median is of.
const medianOf = 20

// Medians tells how long each stage took that passed, the median of the last 20 deployments of an app that
// were accepted; [deploy.ErrNotFound] if there is no such app.
func (s *Store) Medians(ctx context.Context, app deploy.AppName) (map[deploy.StageName]time.Duration, error) {
	db := s.read.WithContext(ctx)
	row, err := appNamed(db, app)
	if err != nil {
		return nil, err
	}
	last := db.Model(&deploymentRow{}).Select("number").Where("app_id = ? AND status = ?", row.ID, deploy.StatusAccepted).
		Order("number DESC").Limit(medianOf)
	var rows []stageRow
	if err := db.Where("outcome = ? AND deployment IN (?)", deploy.OutcomePass, last).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading how long the stages of %s took: %w", app, err)
	}
	took := map[deploy.StageName][]time.Duration{}
	for _, r := range rows {
		took[r.Name] = append(took[r.Name], r.FinishedAt.Sub(r.StartedAt.Time))
	}
	medians := make(map[deploy.StageName]time.Duration, len(took))
	for name, all := range took {
		slices.Sort(all)
		middle := len(all) / 2
		medians[name] = (all[middle] + all[(len(all)-1)/2]) / 2
	}
	return medians, nil
}

// LastDeployments returns the newest deployment of each present app within the scope that has had one.
func (s *Store) LastDeployments(ctx context.Context, within deploy.Scope) (map[deploy.AppName]deploy.Deployment, error) {
	return s.newest(ctx, within, "")
}

// LastAccepted returns, of each present app within the scope that has had one, the newest deployment that
// was accepted.
func (s *Store) LastAccepted(ctx context.Context, within deploy.Scope) (map[deploy.AppName]deploy.Deployment, error) {
	return s.newest(ctx, within, deploy.StatusAccepted)
}

// newest looks for those of one status, or of any.
func (s *Store) newest(ctx context.Context, within deploy.Scope, status deploy.Status) (map[deploy.AppName]deploy.Deployment, error) {
	db := s.read.WithContext(ctx)
	apps, err := scope(db, "", within)
	if err != nil {
		return nil, fmt.Errorf("reading the apps' last deployments: %w", err)
	}
	one, args := "COALESCE((SELECT MAX(number) FROM deployments WHERE app_id = apps.id), 0)", []any{}
	if status != "" {
		one, args = "COALESCE((SELECT MAX(number) FROM deployments WHERE app_id = apps.id AND status = ?), 0)", []any{status}
	}
	last := db.Model(&appRow{}).Select(one, args...).Where("removed_at IS NULL")
	if !apps.all {
		last = last.Where("id IN ?", apps.ids)
	}
	var numbers []deploy.Number // zero for an app without any
	if err := last.Scan(&numbers).Error; err != nil {
		return nil, fmt.Errorf("reading the apps' last deployments: %w", err)
	}
	var rows []deploymentRow
	if err := db.Find(&rows, "number IN ?", numbers).Error; err != nil {
		return nil, fmt.Errorf("reading the apps' last deployments: %w", err)
	}
	all := make(map[deploy.AppName]deploy.Deployment, len(rows))
	for _, r := range rows {
		all[r.App] = r.deployment()
	}
	return all, nil
}
