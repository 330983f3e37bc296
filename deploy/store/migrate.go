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

// migrations are a dialect's files NNN_name.sql. Both dialects have the same numbers.
func migrations(d dialect) fs.FS {
	files, err := fs.Sub(migrationFiles, "migrations/"+string(d))
	if err != nil {
		panic("store: " + err.Error()) // the names are constants
	}
	return files
}

// errUnknownSchema says that the database was made by a newer program than this one, or by another.
var errUnknownSchema = errors.New("its schema is not one that this program knows")

// step is one migration.
type step struct {
	number int
	name   string
}

// migrate takes the steps that the database has not had, in the order of their numbers, each in a
// transaction of its own.
func migrate(ctx context.Context, pool *sql.DB, files fs.FS) error {
	steps, err := stepsOf(files)
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	had, err := stepsHad(ctx, pool)
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	missing := steps[:0:0]
	for _, s := range steps {
		if !had[s.number] {
			missing = append(missing, s)
		}
		delete(had, s.number)
	}
	for number := range had {
		return fmt.Errorf("migrating: %w: it has had step %d, the last one known is %d", errUnknownSchema, number, len(steps))
	}
	for _, s := range missing {
		if err := s.take(ctx, pool, files); err != nil {
			return fmt.Errorf("migrating to %s: %w", s.name, err)
		}
	}
	return nil
}

// stepsOf reads the names of the files; fs.Glob sorts them.
func stepsOf(files fs.FS) ([]step, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	steps := make([]step, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || len(number) != 3 || (i > 0 && n <= steps[i-1].number) {
			return nil, fmt.Errorf("migration %s: the name does not begin with a number of three digits of its own", name)
		}
		steps[i] = step{n, name}
	}
	return steps, nil
}

func stepsHad(ctx context.Context, pool *sql.DB) (map[int]bool, error) {
	if _, err := pool.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)"); err != nil {
		return nil, err
	}
	rows, err := pool.QueryContext(ctx, "SELECT version FROM schema_version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	had := map[int]bool{}
	for rows.Next() {
		var version int
		if err := rows.Scan(&version); err != nil {
			return nil, err
		}
		had[version] = true
	}
	return had, rows.Err()
}

func (s step) take(ctx context.Context, pool *sql.DB, files fs.FS) error {
	script, err := fs.ReadFile(files, s.name)
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
	if _, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version) VALUES ("+strconv.Itoa(s.number)+")"); err != nil {
		return err
	}
	return tx.Commit()
}
