package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"slipway/deploy"
)

// primary is SQLite's primary result code of an error; -1 if it is not SQLite's.
func primary(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return -1
}

// state is PostgreSQL's SQLSTATE of an error; "" if it is not PostgreSQL's.
func state(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// The classes of SQLSTATE (PostgreSQL's manual, appendix A) that are about what a statement says.
const (
	classData        = "22" // a number too large, a character that cannot be
	classIntegrity   = "23"
	uniqueViolation  = "23505"
	lockNotAvailable = "55P03"
)

// constrained tells whether a rule of the schema refused a statement.
func constrained(err error) bool {
	if s := state(err); s != "" {
		return s[:2] == classIntegrity || s[:2] == classData
	}
	return primary(err) == codes.SQLITE_CONSTRAINT
}

// translated returns err as the domain's error where it has one. gorm does not know SQLite's driver.
func translated(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return deploy.ErrNotFound
	}
	exists := state(err) == uniqueViolation
	if e, ok := errors.AsType[*driver.Error](err); ok {
		exists = e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE || e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	if exists {
		return fmt.Errorf("%w: %w", deploy.ErrExists, err)
	}
	return err
}
