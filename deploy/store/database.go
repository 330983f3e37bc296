package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

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
	unchecked   bool // there was no time to look through the whole file
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

// unused waits until nobody reads.
func (d *database) unused(ctx context.Context) error {
	pool, err := d.read.DB()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lastRead)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for pool.Stats().InUse > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for those that read: %w", ctx.Err())
		}
	}
	return nil
}

// lastRead is how long a read may take of a database that is to be replaced.
const lastRead = 10 * time.Second

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
	mu   sync.Mutex
	db   *database
	anew chan struct{} // while it is made anew; closed when it answers again
}

func (c *current) use(db *database) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.db = db
}

func (c *current) get() *database {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.db
}

// whole returns the database once it is not being made anew, or when ctx ends.
func (c *current) whole(ctx context.Context) *database {
	for {
		c.mu.Lock()
		db, anew := c.db, c.anew
		c.mu.Unlock()
		if anew == nil || ctx.Err() != nil {
			return db
		}
		select {
		case <-anew:
		case <-ctx.Done():
		}
	}
}

// hold has readers wait until release is called.
func (c *current) hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gate := make(chan struct{})
	c.anew = gate
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.anew = nil
		close(gate)
	}
}

// pool hands out what statements are made with: of the database in use, for one purpose.
type pool struct {
	of     *current
	access access
}

// WithContext returns the database for one statement or transaction. A reader waits while it is made anew:
// it would be told that there is nothing.
func (p pool) WithContext(ctx context.Context) *gorm.DB {
	if p.access == writing {
		return p.of.get().write.WithContext(ctx)
	}
	return p.of.whole(ctx).read.WithContext(ctx)
}
