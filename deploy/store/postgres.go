package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// connectTimeout bounds how long a connection may take, unless the address says otherwise.
const connectTimeout = 5 * time.Second

// openPostgres opens the database that a URL names. It holds a lock there for as long as its connection
// lives, so that no other server writes to the same schema.
func openPostgres(ctx context.Context, url string) (*database, error) {
	d := &database{dialect: dialectPostgres}
	err := d.connectPostgres(ctx, url)
	if err != nil {
		err = errors.Join(err, d.close())
	}
	return d, err
}

func (d *database) connectPostgres(ctx context.Context, url string) error {
	var err error
	if d.write, err = connectPostgres(url, writing, 1); err != nil {
		return err
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.read, err = connectPostgres(url, reading, readers)
	return err
}

// connectPostgres opens a pool of at most n connections; nothing is connected yet. A projection can be
// brought up to date from the log, so commits do not wait for the disk.
func connectPostgres(url string, a access, n int) (*gorm.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err // it leaves the password out
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	settings := map[string]string{
		"application_name": "slipway", "client_encoding": "UTF8", "standard_conforming_strings": "on",
		// The lock of a machine that went away is free after a minute and a half.
		"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
	}
	var options []stdlib.OptionOpenDB
	switch a {
	case writing:
		settings["synchronous_commit"] = "off"
		var connected atomic.Bool
		options = append(options, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			if connected.Swap(true) {
				return errLost
			}
			return lock(ctx, conn)
		}))
	case reading:
		settings["default_transaction_read_only"] = "on"
		// A plan for any app and user would be a bad one for most: a few have nearly all deployments.
		settings["plan_cache_mode"] = "force_custom_plan"
	}
	for name, value := range settings {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	pool := stdlib.OpenDB(*config, options...)
	return pooled(pool, n, postgres.New(postgres.Config{Conn: pool}), false, logger.Discard)
}

// errLost says that the connection that held the lock is gone. Another server may have written since, so
// the database has to be opened again.
var errLost = errors.New("the connection to the database was lost")

// ErrInUse says that another server writes to the database.
var ErrInUse = errors.New("another server uses this database")

// lock makes sure that one connection at a time writes to a schema. The server that had it last may
// take a moment to go.
func lock(ctx context.Context, conn *pgx.Conn) error {
	const locked = `SET lock_timeout = '3s';
		SELECT pg_advisory_lock(hashtext('slipway'), hashtext(current_schema()));
		RESET lock_timeout`
	_, err := conn.Exec(ctx, locked)
	if state(err) == lockNotAvailable {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}
