package store

import (
	"context"
	"database/sql"
	"sync"

	"gorm.io/gorm"
)

// prepared is the pool of the one connection that writes, which parses a statement once and not in each
// transaction. database/sql keeps what was prepared outside of transactions, but as long as one runs
// nothing else gets the connection. So a statement is run as it is the first time, and prepared when the
// transaction has ended. What a long transaction runs again it prepares for itself.
type prepared struct {
	*sql.DB

	mu    sync.Mutex
	known map[string]*sql.Stmt
}

// maxPrepared is how many statements are kept. Those that insert rows differ by how many.
const maxPrepared = 256

func newPrepared(pool *sql.DB) *prepared {
	return &prepared{DB: pool, known: map[string]*sql.Stmt{}}
}

// GetDBConn implements [gorm.GetDBConnector].
func (p *prepared) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// BeginTx implements [gorm.ConnPoolBeginner].
func (p *prepared) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &preparedTx{Tx: tx, pool: p, own: map[string]*sql.Stmt{}}, nil
}

func (p *prepared) statement(query string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[query]
}

// prepare has the statements ready for the next transaction. One that cannot be prepared is run as it is
// again, and fails there if it must.
func (p *prepared) prepare(queries []string) {
	for _, query := range queries {
		p.mu.Lock()
		full := p.known[query] != nil || len(p.known) >= maxPrepared
		p.mu.Unlock()
		if full {
			continue
		}
		stmt, err := p.PrepareContext(context.Background(), query)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.known[query] = stmt
		p.mu.Unlock()
	}
}

// preparedTx is a transaction that uses what the pool has prepared. As an [sql.Tx] it is one goroutine's.
type preparedTx struct {
	*sql.Tx
	pool  *prepared
	asked []string             // that the pool had not prepared
	own   map[string]*sql.Stmt // of those, nil for one that ran once; they end with the transaction
}

// statement returns the query prepared, nil if it is not.
func (t *preparedTx) statement(ctx context.Context, query string, parameters bool) *sql.Stmt {
	if stmt := t.pool.statement(query); stmt != nil {
		return t.StmtContext(ctx, stmt)
	}
	if !parameters { // the name of a savepoint is another one each time
		return nil
	}
	stmt, again := t.own[query]
	if stmt != nil {
		return stmt
	}
	if !again && len(t.own) < maxPrepared {
		t.asked, t.own[query] = append(t.asked, query), nil
	}
	if !again {
		return nil
	}
	stmt, err := t.PrepareContext(ctx, query)
	if err != nil {
		return nil // it fails as it is if it must
	}
	t.own[query] = stmt
	return stmt
}

func (t *preparedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.statement(ctx, query, len(args) > 0); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

func (t *preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := t.statement(ctx, query, len(args) > 0); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

func (t *preparedTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := t.statement(ctx, query, len(args) > 0); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}

func (t *preparedTx) Commit() error {
	err := t.Tx.Commit()
	if err == nil {
		t.pool.prepare(t.asked)
	}
	return err
}
