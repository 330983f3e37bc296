package store

import (
	"cmp"
	"context"
	"fmt"

	"slipway/deploy"
)

type regressionRow struct {
	Deployment deploy.Number `gorm:"primaryKey;autoIncrement:false"`
	Reason     string
	FixedBy    deploy.Number
	MarkedAt   moment
}

func (regressionRow) TableName() string { return "regressions" }

func (r regressionRow) regression() deploy.Regression {
	return deploy.Regression{Deployment: r.Deployment, Reason: r.Reason, FixedBy: r.FixedBy, MarkedAt: r.MarkedAt.Time}
}

// Regression tells what an accepted deployment had broken; [deploy.ErrNotFound] if it is not marked.
func (s *Store) Regression(ctx context.Context, n deploy.Number) (deploy.Regression, error) {
	var row regressionRow
	if err := s.read.WithContext(ctx).Take(&row, "deployment = ?", n).Error; err != nil {
		return deploy.Regression{}, fmt.Errorf("reading the regression of deployment %d: %w", n, translated(err))
	}
	return row.regression(), nil
}

// regressionMarked keeps what was said last.
func (c change) regressionMarked() error {
	var r deploy.Regression
	if err := c.data(&r); err != nil {
		return err
	}
	if _, err := c.deployment(); err != nil {
		return err
	}
	return c.put(&regressionRow{
		Deployment: c.e.Deployment, Reason: r.Reason, FixedBy: r.FixedBy, MarkedAt: at(cmp.Or(r.MarkedAt, c.e.At)),
	})
}
