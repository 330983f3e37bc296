package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"slipway/deploy"
)

// readers is how many connections read at once.
const readers = 8

// access is what a connection is for.
type access string

const (
	writing access = "writing"
	reading access = "reading"
)

// connect opens a pool of at most n connections. A projection can be brought up to date from the log,
// so it need not be synced at every commit.
func connect(path string, a access, n int) (*gorm.DB, error) {
	dsn, err := dsn(path, a)
	if err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	db, err := gorm.Open(sqlite.Dialector{Conn: pool}, &gorm.Config{
		SkipDefaultTransaction: true,
		PrepareStmt:            a == reading, // database/sql prepares again in each transaction
		PrepareStmtMaxSize:     256,
		Logger:                 logger.Discard, // every error is returned
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
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

// damaged tells an error that comes from what is in the file from one of reaching it.
func damaged(err error) bool {
	if errors.Is(err, errDamaged) {
		return true
	}
	switch primary(err) {
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB, codes.SQLITE_ERROR, codes.SQLITE_CONSTRAINT,
		codes.SQLITE_MISMATCH, codes.SQLITE_SCHEMA, codes.SQLITE_FORMAT:
		return true
	}
	return false
}

// primary is SQLite's primary result code of an error; -1 if it is not SQLite's.
func primary(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return -1
}

// constrained tells whether a constraint of the schema refused a statement.
func constrained(err error) bool { return primary(err) == codes.SQLITE_CONSTRAINT }

// translated returns err as the domain's error where it has one. gorm does not know this driver's.
func translated(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return deploy.ErrNotFound
	}
	if e, ok := errors.AsType[*driver.Error](err); ok {
		switch e.Code() {
		case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY:
			return fmt.Errorf("%w: %w", deploy.ErrExists, err)
		}
	}
	return err
}
