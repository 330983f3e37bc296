package store

import (
	"cmp"
	"context"
	"fmt"

	"slipway/deploy"
)

type userRow struct {
	Name      deploy.UserName `gorm:"primaryKey"`
	Role      deploy.Role
	CreatedAt moment `gorm:"autoCreateTime:false"`
}

func (userRow) TableName() string { return "users" }

func (r userRow) user() deploy.User {
	return deploy.User{Name: r.Name, Role: r.Role, CreatedAt: r.CreatedAt.Time}
}

type keyRow struct {
	Fingerprint string `gorm:"primaryKey"`
	UserName    deploy.UserName
	Line        string
	AddedAt     moment
}

func (keyRow) TableName() string { return "keys" }

func (r keyRow) key() deploy.Key {
	return deploy.Key{User: r.UserName, Fingerprint: r.Fingerprint, Line: r.Line, AddedAt: r.AddedAt.Time}
}

// Users returns all users by name.
func (s *Store) Users(ctx context.Context) ([]deploy.User, error) {
	var rows []userRow
	if err := s.read.WithContext(ctx).Order("name").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	return each(rows, userRow.user), nil
}

// User returns a user, or [deploy.ErrNotFound].
func (s *Store) User(ctx context.Context, name deploy.UserName) (deploy.User, error) {
	var row userRow
	if err := s.read.WithContext(ctx).Take(&row, "name = ?", name).Error; err != nil {
		return deploy.User{}, fmt.Errorf("reading user %s: %w", name, translated(err))
	}
	return row.user(), nil
}

// UserByKey returns the user whose key has the fingerprint, or [deploy.ErrNotFound].
func (s *Store) UserByKey(ctx context.Context, fingerprint string) (deploy.User, error) {
	var row userRow
	err := s.read.WithContext(ctx).Joins("JOIN keys ON keys.user_name = users.name").
		Take(&row, "keys.fingerprint = ?", fingerprint).Error
	if err != nil {
		return deploy.User{}, fmt.Errorf("reading the user of key %.80s: %w", fingerprint, translated(err))
	}
	return row.user(), nil
}

// Keys returns a user's keys, oldest first.
func (s *Store) Keys(ctx context.Context, user deploy.UserName) ([]deploy.Key, error) {
	var rows []keyRow
	if err := s.read.WithContext(ctx).Order("added_at, fingerprint").Find(&rows, "user_name = ?", user).Error; err != nil {
		return nil, fmt.Errorf("reading the keys of %s: %w", user, err)
	}
	return each(rows, keyRow.key), nil
}

func (c change) userCreated() error {
	var u deploy.User
	if err := c.data(&u); err != nil {
		return err
	}
	if u.Name == "" {
		return unfit("it names no user")
	}
	return c.put(&userRow{Name: u.Name, Role: u.Role, CreatedAt: at(cmp.Or(u.CreatedAt, c.e.At))})
}

// userRemoved removes the user with tokens and sessions, and with the row, by the schema, keys and grants.
func (c change) userRemoved() error {
	var u deploy.User
	if err := c.data(&u); err != nil {
		return err
	}
	if err := c.revokeTokens("user_name = ?", u.Name); err != nil {
		return err
	}
	if err := c.tx.Delete(&sessionRow{}, "user_name = ?", u.Name).Error; err != nil {
		return err
	}
	return c.tx.Delete(&userRow{}, "name = ?", u.Name).Error
}

func (c change) keyAdded() error {
	var k deploy.Key
	if err := c.data(&k); err != nil {
		return err
	}
	if err := c.knownUser(k.User); err != nil {
		return err
	}
	return c.put(&keyRow{Fingerprint: k.Fingerprint, UserName: k.User, Line: k.Line, AddedAt: at(cmp.Or(k.AddedAt, c.e.At))})
}

func (c change) keyRemoved() error {
	var k deploy.Key
	if err := c.data(&k); err != nil {
		return err
	}
	return c.tx.Delete(&keyRow{}, "fingerprint = ?", k.Fingerprint).Error
}

// knownUser tells whether there is a user, and that the event is unfit if there is none.
func (c change) knownUser(name deploy.UserName) error {
	var n int64
	if err := c.tx.Model(&userRow{}).Where("name = ?", name).Count(&n).Error; err != nil {
		return err
	}
	if n == 0 {
		return unfit("there is no user %s", name)
	}
	return nil
}
