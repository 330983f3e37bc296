package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Peek tells the sequence and the ID of the event that the database file at path had last, whether a
// server uses it or not. It changes nothing in the database. A file that is missing is an
// os.ErrNotExist; any other error says why the next [Open] would put it aside, or could not read it.
func Peek(ctx context.Context, path string) (uint64, string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return 0, "", err
	}
	if _, err := os.Stat(path); err != nil {
		return 0, "", fmt.Errorf("looking at the database: %w", err)
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(2000)"}
	db, err := gorm.Open(sqlite.Dialector{DriverName: "sqlite", DSN: u.String()}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return 0, "", fmt.Errorf("looking at the database: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return 0, "", fmt.Errorf("looking at the database: %w", err)
	}
	err = quickCheck(ctx, db)
	var p position
	if err == nil {
		p, err = positionOf(db.WithContext(ctx))
	}
	if err = errors.Join(err, pool.Close()); err != nil {
		return 0, "", fmt.Errorf("looking at the database: %w", err)
	}
	return p.Sequence, p.EventID, nil
}
