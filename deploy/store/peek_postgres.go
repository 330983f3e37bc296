package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// Peeked is how a PostgreSQL database stands.
type Peeked struct {
	Schema, Known int // the last migration that it has had, zero for none; and the last one that there is
	Sequence      uint64
	EventID       string
}

// PeekPostgres tells how the PostgreSQL database that a URL names stands, whether a server follows the log
// with it or not. It changes nothing there. The error says why nobody could look; it does not have the
// password in it.
func PeekPostgres(ctx context.Context, url string) (Peeked, error) {
	steps, err := stepsOf(migrations(dialectPostgres))
	if err != nil {
		return Peeked{}, err
	}
	db, err := connectPostgres(url, reading, 1)
	if err != nil {
		return Peeked{}, fmt.Errorf("looking at PostgreSQL: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return Peeked{}, fmt.Errorf("looking at PostgreSQL: %w", err)
	}
	p := Peeked{Known: steps[len(steps)-1].number}
	if err := errors.Join(p.read(db.WithContext(ctx)), pool.Close()); err != nil {
		return Peeked{}, fmt.Errorf("looking at PostgreSQL: %w", err)
	}
	return p, nil
}

func (p *Peeked) read(db *gorm.DB) error {
	var there bool
	if err := db.Raw("SELECT to_regclass('schema_version') IS NOT NULL").Scan(&there).Error; err != nil || !there {
		return err
	}
	if err := db.Raw("SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&p.Schema).Error; err != nil || p.Schema == 0 {
		return err
	}
	last, err := positionOf(db)
	p.Sequence, p.EventID = last.Sequence, last.EventID
	return err
}
