package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations
var migrationFiles embed.FS

// migrations are the files NNN_name.sql, in order and without gaps from 001.
func migrations() fs.FS {
	files, err := fs.Sub(migrationFiles, "migrations/sqlite")
	if err != nil {
		panic("store: " + err.Error()) // the name is a constant
	}
	return files
}

// migrate brings the schema up to date, each step in a transaction of its own.
func migrate(ctx context.Context, pool *sql.DB, files fs.FS) error {
	steps, err := fs.Glob(files, "*.sql")
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	version, err := schemaVersion(ctx, pool)
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	if version > len(steps) {
		return fmt.Errorf("migrating: %w: its schema has version %d, this program knows %d", errDamaged, version, len(steps))
	}
	for i := version; i < len(steps); i++ {
		if err := migrateTo(ctx, pool, files, steps[i], i+1); err != nil {
			return fmt.Errorf("migrating to %s: %w", steps[i], err)
		}
	}
	return nil
}

func schemaVersion(ctx context.Context, pool *sql.DB) (int, error) {
	if _, err := pool.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)"); err != nil {
		return 0, err
	}
	var version int
	err := pool.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&version)
	return version, err
}

func migrateTo(ctx context.Context, pool *sql.DB, files fs.FS, name string, version int) error {
	number, _, _ := strings.Cut(name, "_")
	if n, err := strconv.Atoi(number); err != nil || n != version {
		return errors.New("migrations are not numbered without gaps")
	}
	script, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, and before it the error is known
	if _, err := tx.ExecContext(ctx, string(script)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version) VALUES ("+strconv.Itoa(version)+")"); err != nil {
		return err
	}
	return tx.Commit()
}
