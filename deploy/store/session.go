package store

import (
	"cmp"
	"context"
	"fmt"

	"slipway/deploy"
)

type sessionRow struct {
	ID        string `gorm:"primaryKey"`
	UserName  deploy.UserName
	Token     string
	Hash      string
	Agent     string
	IP        string
	OpenedAt  moment
	ExpiresAt moment
}

func (sessionRow) TableName() string { return "sessions" }

func (r sessionRow) session() deploy.Session {
	return deploy.Session{
		ID: r.ID, User: r.UserName, Token: r.Token, Hash: r.Hash, Agent: r.Agent, IP: r.IP,
		OpenedAt: r.OpenedAt.Time, ExpiresAt: r.ExpiresAt.Time,
	}
}

// Session returns a session that was not closed, or [deploy.ErrNotFound]. It may have expired.
func (s *Store) Session(ctx context.Context, id string) (deploy.Session, error) {
	var row sessionRow
	if err := s.read.WithContext(ctx).Take(&row, "id = ?", id).Error; err != nil {
		return deploy.Session{}, fmt.Errorf("reading session %.40s: %w", id, translated(err))
	}
	return row.session(), nil
}

// Sessions returns the sessions that were not closed, the newest first. Some may have expired.
func (s *Store) Sessions(ctx context.Context) ([]deploy.Session, error) {
	var rows []sessionRow
	if err := s.read.WithContext(ctx).Order("opened_at DESC, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading sessions: %w", err)
	}
	return each(rows, sessionRow.session), nil
}

// sessionOpened also forgets the sessions that have expired by then.
func (c change) sessionOpened() error {
	var s deploy.Session
	if err := c.data(&s); err != nil {
		return err
	}
	if s.ID == "" || s.Hash == "" {
		return unfit("a session needs an ID and a hash")
	}
	if s.User != "" {
		if err := c.knownUser(s.User); err != nil {
			return err
		}
	}
	if err := c.tx.Delete(&sessionRow{}, "expires_at < ?", at(c.e.At)).Error; err != nil {
		return err
	}
	return c.put(&sessionRow{
		ID: s.ID, UserName: s.User, Token: s.Token, Hash: s.Hash, Agent: s.Agent, IP: s.IP,
		OpenedAt: at(cmp.Or(s.OpenedAt, c.e.At)), ExpiresAt: at(s.ExpiresAt),
	})
}

func (c change) sessionClosed() error {
	var s deploy.Session
	if err := c.data(&s); err != nil {
		return err
	}
	return c.tx.Delete(&sessionRow{}, "id = ?", s.ID).Error
}
