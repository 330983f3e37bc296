package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"slipway/deploy"
)

// Mirror is a PostgreSQL database that follows the audit log beside a server's own database, which it
// never holds up. It has what an audit.Projection has. Whenever it has had every event that the server's
// own one has had, it answers the questions about history; when it is behind, away, or slow, the
// server's own one does.
//
// It belongs to one log: whoever follows compares the last event that it had with the log's. A lock that
// lives with its one writing connection keeps other servers out meanwhile, and when that connection is
// lost all is compared again.
type Mirror struct {
	url    string
	logger *slog.Logger
	at     atomic.Uint64 // the event that it had last; zero if nobody should ask it
	renew  atomic.Bool   // it is to be emptied

	mu    sync.Mutex
	store *Store // nil if there is no connection
}

// mirrorPatience is how long the mirror may take for an answer, or for some events.
const (
	mirrorPatience = 2 * time.Second
	mirrorWriting  = time.Minute
)

// NewMirror makes a mirror at a URL. Nothing is connected yet. logger nil means slog.Default.
func NewMirror(url string, logger *slog.Logger) *Mirror {
	if logger == nil {
		logger = slog.Default()
	}
	return &Mirror{url: url, logger: logger}
}

// Answers has the mirror answer questions about history that the store is asked. Call it before the store
// is used.
func (s *Store) Answers(m *Mirror) { s.mirror = m }

// Position connects if there is no connection, and tells what the mirror had last.
func (m *Mirror) Position(ctx context.Context) (uint64, string, error) {
	ctx, cancel := context.WithTimeout(ctx, mirrorWriting)
	defer cancel()
	s, err := m.connected(ctx)
	if err != nil {
		return 0, "", err
	}
	sequence, id, err := s.Position(ctx)
	if err != nil {
		m.leave()
		return 0, "", err
	}
	return sequence, id, nil
}

func (m *Mirror) connected(ctx context.Context) (*Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		s, err := Open(ctx, m.url, m.logger)
		if err != nil {
			return nil, err
		}
		m.store = s
	}
	if m.renew.Load() {
		m.at.Store(0)
		if err := m.store.write.WithContext(ctx).Transaction(empty); err != nil {
			return nil, err
		}
		m.renew.Store(false)
	}
	return m.store, nil
}

// Check lets every event be recorded: the server's own database is asked about that.
func (m *Mirror) Check(context.Context, deploy.Event, uint64) error { return nil }

// Project takes in events, as [Store.Project] does.
func (m *Mirror) Project(ctx context.Context, events ...deploy.Event) error {
	ctx, cancel := context.WithTimeout(ctx, mirrorWriting)
	defer cancel()
	m.mu.Lock()
	s := m.store
	m.mu.Unlock()
	if s == nil {
		return fmt.Errorf("projecting: there is no connection")
	}
	if err := s.Project(ctx, events...); err != nil {
		m.leave()
		return err
	}
	if !m.renew.Load() {
		m.at.Store(s.last.Load())
	}
	return nil
}

// leave ends the connections, so that the next ones begin with a look at what is there.
func (m *Mirror) leave() {
	m.at.Store(0)
	m.mu.Lock()
	s := m.store
	m.store = nil
	m.mu.Unlock()
	if s != nil {
		_ = s.Close() // that it was lost is known
	}
}

// Close ends the connections. Nobody may use the mirror any more.
func (m *Mirror) Close() { m.leave() }

// inStep returns what to ask the mirror with, if it has had the event; nil if not.
func (m *Mirror) inStep(ctx context.Context, last uint64) *gorm.DB {
	if m == nil || last == 0 || m.at.Load() < last || m.renew.Load() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		return nil
	}
	return m.store.read.WithContext(ctx)
}

// ask has a question about history answered, by the mirror if it is in step and by the store itself if
// not, or if the mirror fails.
func ask[T any](ctx context.Context, s *Store, question func(*gorm.DB) (T, error)) (T, error) {
	short, cancel := context.WithTimeout(ctx, mirrorPatience)
	defer cancel()
	if db := s.mirror.inStep(short, s.last.Load()); db != nil {
		answer, err := question(db)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		s.mirror.at.Store(0) // until it has taken in something again
		s.logger.Warn("PostgreSQL does not answer; the server's own database does", "error", err)
	}
	return question(s.read.WithContext(ctx))
}
