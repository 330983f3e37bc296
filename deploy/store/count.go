package store

import (
	"context"
	"fmt"
)

// Counts is how much there is of everything.
type Counts struct {
	Users, Apps, Deployments int64
	Queued, Running          int64 // deployments that are
	Frozen                   int64 // targets that are
	Events                   uint64
	Unfit                    int64 // events that fitted nothing known
}

// Counts counts.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	err := s.read.WithContext(ctx).Raw(`SELECT
		(SELECT COUNT(*) FROM users) AS users,
		(SELECT COUNT(*) FROM apps WHERE removed_at IS NULL) AS apps,
		(SELECT COUNT(*) FROM deployments) AS deployments,
		(SELECT COUNT(*) FROM deployments WHERE status = 'queued') AS queued,
		(SELECT COUNT(*) FROM deployments WHERE status = 'running') AS running,
		(SELECT COUNT(*) FROM targets WHERE frozen <> '') AS frozen,
		sequence AS events, unfit FROM projection`).Scan(&c).Error
	if err != nil {
		return Counts{}, fmt.Errorf("counting: %w", err)
	}
	return c, nil
}
