package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"gorm.io/gorm"

	"slipway/deploy"
)

// TestStatementsArePreparedOnce projects events of the same kind one after the other: only the first of
// them meets statements that are not prepared.
func TestStatementsArePreparedOnce(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(t.TempDir(), "slipway.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pool := s.current.get().write.ConnPool.(*prepared)
	var known []int
	for i, name := range []deploy.UserName{"alice", "bob", "carol"} {
		e := deploy.Event{Type: deploy.EventUserCreated, Sequence: uint64(i) + 1, ID: "x"}.WithData(deploy.User{Name: name, Role: deploy.RoleViewer})
		if err := s.Project(ctx, e); err != nil {
			t.Fatal(err)
		}
		known = append(known, len(pool.known))
	}
	if known[0] == 0 || known[1] != known[0] || known[2] != known[0] {
		t.Errorf("%d statements are prepared after the events; want the same number after each", known)
	}
	users, err := s.Users(ctx)
	if err != nil || len(users) != 3 {
		t.Errorf("the users are %v, %v; want three", users, err)
	}
}

// TestStatementsOfNoUse leaves those of a transaction that failed unprepared, and savepoints, whose names
// differ each time.
func TestStatementsOfNoUse(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(t.TempDir(), "slipway.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db := s.write.WithContext(ctx)
	pool, before := db.ConnPool.(*prepared), 0
	before = len(pool.known)
	failed := errors.New("it failed")
	err = db.Transaction(func(tx *gorm.DB) error {
		return errors.Join(tx.Take(&userRow{}, "name = ?", "alice").Error, failed)
	})
	if !errors.Is(err, failed) || len(pool.known) != before {
		t.Errorf("%v; %d statements are prepared, before %d", err, len(pool.known), before)
	}
	err = db.Transaction(func(tx *gorm.DB) error {
		return tx.Transaction(func(*gorm.DB) error { return nil })
	})
	if err != nil || len(pool.known) != before {
		t.Errorf("%v; %d statements are prepared after a savepoint, before %d", err, len(pool.known), before)
	}
}

// TestALongTransactionPreparesForItself: it meets the same statements again and again before it ends.
func TestALongTransactionPreparesForItself(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(t.TempDir(), "slipway.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db := s.write.WithContext(ctx)
	var prepared []int
	err = db.Transaction(func(tx *gorm.DB) error {
		for i, name := range []deploy.UserName{"alice", "bob", "carol"} {
			if err := tx.Create(&userRow{Name: name, CreatedAt: moment{}}).Error; err != nil {
				return err
			}
			var found []userRow
			if err := tx.Find(&found, "name = ?", name).Error; err != nil || len(found) != 1 {
				t.Errorf("after %d users %s is found as %v, error %v", i, name, found, err)
			}
			n := 0
			for _, stmt := range tx.Statement.ConnPool.(*preparedTx).own {
				if stmt != nil {
					n++
				}
			}
			prepared = append(prepared, n)
		}
		return nil
	})
	if err != nil || !slices.Equal(prepared, []int{0, 2, 2}) {
		t.Errorf("after each user %v statements are prepared, error %v; want none and then two", prepared, err)
	}
	if users, err := s.Users(ctx); err != nil || len(users) != 3 {
		t.Errorf("the users are %v, %v; want three", users, err)
	}
}
