package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	codes "modernc.org/sqlite/lib"
)

// openSQLite opens a file, or makes it.
func openSQLite(ctx context.Context, path string, patience time.Duration, w witness) (*database, error) {
	if err := touch(path); err != nil {
		return nil, err
	}
	d := &database{dialect: dialectSQLite, path: path}
	err := d.connectSQLite(ctx, patience, w)
	if err != nil {
		err = errors.Join(err, d.close())
	}
	return d, err
}

func (d *database) connectSQLite(ctx context.Context, patience time.Duration, w witness) error {
	var err error
	if d.write, err = connectSQLite(d.path, writing, 1, w); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = quickCheck(short, d.write)
	if d.unchecked = err != nil && short.Err() != nil && ctx.Err() == nil && !damaged(err); d.unchecked {
		err = nil
	}
	if err != nil {
		return err
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.read, err = connectSQLite(d.path, reading, readers, w)
	return err
}

// connectSQLite opens a pool of at most n connections. A projection can be brought up to date from the
// log, so it need not be synced at every commit.
func connectSQLite(path string, a access, n int, w witness) (*gorm.DB, error) {
	dsn, err := dsn(path, a)
	if err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	d := sqlite.Dialector{Conn: pool}
	if a == writing {
		d.Conn = newPrepared(pool) // what gorm prepares in a transaction is of no use to the next one
	}
	return pooled(pool, n, d, a == reading, w)
}

func dsn(path string, a access) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	q := url.Values{"_pragma": {"busy_timeout(10000)", "foreign_keys(1)", "synchronous(NORMAL)"}}
	switch a {
	case writing:
		q.Add("_pragma", "journal_mode(WAL)")
		q.Set("_txlock", "immediate")
	case reading:
		q.Add("_pragma", "query_only(1)")
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String(), nil
}

// touch makes the file if it is missing, readable by its owner only; SQLite gives its other files the
// same mode.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// errDamaged says that a database cannot be used as it is.
var errDamaged = errors.New("the database is damaged")

func quickCheck(ctx context.Context, db *gorm.DB) error {
	var found []string
	if err := db.WithContext(ctx).Raw("PRAGMA quick_check(3)").Scan(&found).Error; err != nil {
		return fmt.Errorf("checking it: %w", err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return fmt.Errorf("%w: %q", errDamaged, found)
	}
	return nil
}

// damaged tells an error that comes from what is in an SQLite file from one of reaching it.
func damaged(err error) bool {
	if errors.Is(err, errDamaged) || errors.Is(err, errUnknownSchema) {
		return true
	}
	switch primary(err) {
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB, codes.SQLITE_ERROR, codes.SQLITE_CONSTRAINT,
		codes.SQLITE_MISMATCH, codes.SQLITE_SCHEMA, codes.SQLITE_FORMAT:
		return true
	}
	return false
}
