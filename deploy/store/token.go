package store

import (
	"cmp"
	"context"
	"fmt"

	"slipway/deploy"
)

type tokenRow struct {
	ID        string `gorm:"primaryKey"`
	Name      string
	UserName  deploy.UserName
	Role      deploy.Role
	App       deploy.AppName
	Hash      string
	CreatedAt moment `gorm:"autoCreateTime:false"`
	ExpiresAt moment
	RevokedAt moment
}

func (tokenRow) TableName() string { return "tokens" }

func (r tokenRow) token() deploy.Token {
	return deploy.Token{
		ID: r.ID, Name: r.Name, User: r.UserName, Limit: deploy.Limit{Role: r.Role, App: r.App}, Hash: r.Hash,
		CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time, RevokedAt: r.RevokedAt.Time,
	}
}

// Token returns a token, also one that was revoked or has expired, or [deploy.ErrNotFound].
func (s *Store) Token(ctx context.Context, id string) (deploy.Token, error) {
	var row tokenRow
	if err := s.read.WithContext(ctx).Take(&row, "id = ?", id).Error; err != nil {
		return deploy.Token{}, fmt.Errorf("reading token %.40s: %w", id, translated(err))
	}
	return row.token(), nil
}

// Tokens returns the tokens that were not revoked, oldest first.
func (s *Store) Tokens(ctx context.Context) ([]deploy.Token, error) {
	var rows []tokenRow
	if err := s.read.WithContext(ctx).Order("created_at, id").Find(&rows, "revoked_at IS NULL").Error; err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	return each(rows, tokenRow.token), nil
}

func (c change) tokenCreated() error {
	var t deploy.Token
	if err := c.data(&t); err != nil {
		return err
	}
	if t.ID == "" || t.Hash == "" {
		return unfit("a token needs an ID and a hash")
	}
	if t.User != "" {
		if err := c.knownUser(t.User); err != nil {
			return err
		}
	}
	return c.put(&tokenRow{
		ID: t.ID, Name: t.Name, UserName: t.User, Role: t.Limit.Role, App: t.Limit.App, Hash: t.Hash,
		CreatedAt: at(cmp.Or(t.CreatedAt, c.e.At)), ExpiresAt: at(t.ExpiresAt),
	})
}

func (c change) tokenRevoked() error {
	var t deploy.Token
	if err := c.data(&t); err != nil {
		return err
	}
	return c.revokeTokens("id = ?", t.ID)
}

// revokeTokens revokes those that were not: a user's or an app's end with it, since another may be given
// its name.
func (c change) revokeTokens(where string, args ...any) error {
	return c.tx.Model(&tokenRow{}).Where("revoked_at IS NULL").Where(where, args...).Update("revoked_at", at(c.e.At)).Error
}
