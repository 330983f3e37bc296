package store

import (
	"context"
	"encoding/json"
	"fmt"

	"gorm.io/gorm/clause"

	"slipway/deploy"
)

type stageRow struct {
	Deployment deploy.Number    `gorm:"primaryKey;autoIncrement:false"`
	Name       deploy.StageName `gorm:"primaryKey"`
	Sequence   uint64           // of the event that began it
	Outcome    deploy.Outcome
	Reason     string
	StartedAt  moment
	FinishedAt moment
	Log        string
	Size       int64
	SHA256     string `gorm:"column:sha256"`
	Checks     string // JSON; empty for none
}

func (stageRow) TableName() string { return "stages" }

func (r stageRow) stage() deploy.Stage {
	return deploy.Stage{
		Deployment: r.Deployment, Name: r.Name, Outcome: r.Outcome, Reason: r.Reason,
		StartedAt: r.StartedAt.Time, FinishedAt: r.FinishedAt.Time,
	}
}

// Stages returns a deployment's stages in the order they began; none if there is no such deployment.
func (s *Store) Stages(ctx context.Context, n deploy.Number) ([]deploy.Stage, error) {
	var rows []stageRow
	if err := s.read.WithContext(ctx).Order("sequence").Find(&rows, "deployment = ?", n).Error; err != nil {
		return nil, fmt.Errorf("reading the stages of deployment %d: %w", n, err)
	}
	return each(rows, stageRow.stage), nil
}

// StageData tells what a stage left behind: its log and its checks. It returns [deploy.ErrNotFound] if
// there was no such stage, and nothing of one that still runs.
func (s *Store) StageData(ctx context.Context, n deploy.Number, name deploy.StageName) (deploy.StageData, error) {
	var row stageRow
	err := s.read.WithContext(ctx).Take(&row, "deployment = ? AND name = ?", n, name).Error
	if err != nil {
		return deploy.StageData{}, fmt.Errorf("reading stage %s of deployment %d: %w", name, n, translated(err))
	}
	data := deploy.StageData{Log: row.Log, Size: row.Size, SHA256: row.SHA256}
	if row.Checks == "" {
		return data, nil
	}
	if err := json.Unmarshal([]byte(row.Checks), &data.Checks); err != nil {
		return deploy.StageData{}, fmt.Errorf("reading the checks of stage %s of deployment %d: %w", name, n, err)
	}
	return data, nil
}

func (c change) stageStarted() error {
	if _, err := c.deployment(); err != nil {
		return err
	}
	return c.put(&stageRow{Deployment: c.e.Deployment, Name: c.e.Stage, Sequence: c.e.Sequence, StartedAt: at(c.e.At)})
}

func (c change) stageFinished() error {
	if _, err := c.deployment(); err != nil {
		return err
	}
	var data deploy.StageData
	if len(c.e.Data) > 0 {
		if err := c.data(&data); err != nil {
			return err
		}
	}
	row := stageRow{
		Deployment: c.e.Deployment, Name: c.e.Stage, Sequence: c.e.Sequence, Outcome: c.e.Outcome, Reason: c.e.Reason,
		StartedAt: at(c.e.At), FinishedAt: at(c.e.At), Log: data.Log, Size: data.Size, SHA256: data.SHA256,
	}
	if len(data.Checks) > 0 {
		b, err := json.Marshal(data.Checks)
		if err != nil {
			return err
		}
		row.Checks = string(b)
	}
	return c.tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "deployment"}, {Name: "name"}},
		DoUpdates: clause.AssignmentColumns([]string{"outcome", "reason", "finished_at", "log", "size", "sha256", "checks"}),
	}).Create(&row).Error
}

// endStages ends the stages that still run when their deployment ends, so that none runs for ever: the
// named one has failed, the others end with the outcome given.
func (c change) endStages(outcome deploy.Outcome, failed deploy.StageName) error {
	err := c.tx.Model(&stageRow{}).Where("deployment = ? AND outcome = ''", c.e.Deployment).
		Updates(map[string]any{"outcome": outcome, "finished_at": at(c.e.At)}).Error
	if err != nil || failed == "" || c.e.Type != deploy.EventRejected {
		return err
	}
	return c.tx.Model(&stageRow{}).
		Where("deployment = ? AND name = ? AND finished_at = ? AND outcome = ?", c.e.Deployment, failed, at(c.e.At), outcome).
		Update("outcome", deploy.OutcomeFail).Error
}
