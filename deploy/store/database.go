package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"slipway/deploy"
)

// dialect is the kind of a database.
type dialect string

const (
	dialectSQLite   dialect = "sqlite"
	dialectPostgres dialect = "postgres"
)

// access is what a connection is for.
type access string

const (
	writing access = "writing"
	reading access = "reading"
)

// readers is how many connections read at once.
const readers = 8

// database is an open database: one connection that writes, and some that read.
type database struct {
	dialect     dialect
	path        string // of an SQLite file
	write, read *gorm.DB
}

// prepare brings the schema up to date. There must be a position in it.
func (d *database) prepare(ctx context.Context) error {
	pool, err := d.write.DB()
	if err != nil {
		return err
	}
	if err := migrate(ctx, pool, migrations(d.dialect)); err != nil {
		return err
	}
	_, err = positionOf(d.write.WithContext(ctx))
	if errors.Is(err, deploy.ErrNotFound) {
		return fmt.Errorf("%w: it does not say which event it had last", errDamaged)
	}
	return err
}

func (d *database) close() error {
	var all []error
	for _, db := range []*gorm.DB{d.read, d.write} {
		if db == nil {
			continue
		}
		pool, err := db.DB()
		if err == nil {
			err = pool.Close()
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// pooled has gorm use a pool of at most n connections.
func pooled(pool *sql.DB, n int, d gorm.Dialector, prepare bool, l logger.Interface) (*gorm.DB, error) {
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	db, err := gorm.Open(d, &gorm.Config{
		SkipDefaultTransaction: true, PrepareStmt: prepare, PrepareStmtMaxSize: 256, DisableAutomaticPing: true, Logger: l,
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// current is the database in use, which is replaced when it turns out to be damaged.
type current struct {
	mu sync.Mutex
	db *database
}

func (c *current) use(db *database) *database {
	c.mu.Lock()
	defer c.mu.Unlock()
	db, c.db = c.db, db
	return db
}

func (c *current) get() *database {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.db
}

// pool hands out what statements are made with: of the database in use, for one purpose.
type pool struct {
	of     *current
	access access
}

// WithContext returns the database for one statement or transaction.
func (p pool) WithContext(ctx context.Context) *gorm.DB {
	if p.access == writing {
		return p.of.get().write.WithContext(ctx)
	}
	return p.of.get().read.WithContext(ctx)
}
