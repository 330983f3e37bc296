package store

import (
	"bytes"
	"context"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
)

// noticed follows a store whose file was harmed until it has been made anew, and then looks for a user.
func noticed(t *testing.T, s *Store, events []deploy.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	tending, stop := context.WithCancel(ctx)
	group.Go(func() {
		if err := s.Tend(tending, func(ctx context.Context, anew func(context.Context, iter.Seq2[deploy.Event, error]) error) error {
			return anew(ctx, func(yield func(deploy.Event, error) bool) {
				for _, e := range events {
					if !yield(e, nil) {
						return
					}
				}
			})
		}); err != nil {
			t.Error(err)
		}
	})
	defer group.Wait()
	defer stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for s.Replaced() == (Replaced{}) {
		_, _ = s.Events(ctx, deploy.EventFilter{Limit: maxPage}) // whoever comes across it sees the harm
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal("the harm was not found")
		}
	}
	if u, err := s.User(ctx, "alice"); err != nil || u.Name != "alice" {
		t.Errorf("after the database was made anew: %+v, %v", u, err)
	}
	if page, err := s.Events(ctx, deploy.EventFilter{Limit: maxPage}); err != nil || len(page) != min(len(events), maxPage) {
		t.Errorf("after the database was made anew there are %d events, error %v", len(page), err)
	}
	if _, err := os.Stat(s.Replaced().Aside); err != nil {
		t.Error(err)
	}
}

// eventsFor makes a database of some megabytes.
func eventsFor(t *testing.T, s *Store) []deploy.Event {
	t.Helper()
	all := make([]deploy.Event, 3000)
	for i := range all {
		all[i] = deploy.Event{Sequence: uint64(i + 1), ID: "x", Type: deploy.EventUserCreated, At: time.Unix(int64(i), 0), Reason: "because of this and that"}.
			WithData(deploy.User{Name: "alice", Role: deploy.RoleViewer})
	}
	if err := s.Project(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	return all
}

func noise(t *testing.T, path string, from int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5, 0x13}, int(info.Size()-from)/2), from); err != nil {
		t.Fatal(err)
	}
}

// TestHarmFoundAfterOpening: a file that is too large to be looked through before it is used is looked
// through then, and made anew if there is harm in it.
func TestHarmFoundAfterOpening(t *testing.T) {
	path, logger := filepath.Join(t.TempDir(), "slipway.db"), slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := openWith(t.Context(), path, logger, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	events := eventsFor(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	noise(t, path, info.Size()/2&^0xfff) // the schema and the first rows are whole
	if s, err = openWith(t.Context(), path, logger, 0); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Replaced() != (Replaced{}) {
		t.Fatalf("it was looked through before it was opened: %+v", s.Replaced())
	}
	noticed(t, s, events)
}

// TestHarmWhileInUse: a file that is overwritten, or taken away, under a running server.
func TestHarmWhileInUse(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"noise": func(t *testing.T, path string) { noise(t, path, 0) },
		"empty": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, logger := filepath.Join(t.TempDir(), "slipway.db"), slog.New(slog.NewTextHandler(io.Discard, nil))
			s, err := openWith(t.Context(), path, logger, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			events := eventsFor(t, s)
			if err := s.current.get().write.Exec("PRAGMA wal_checkpoint(TRUNCATE)").Error; err != nil {
				t.Fatal(err)
			}
			harm(t, path)
			noticed(t, s, events)
		})
	}
}
