package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slipway/deploy"
	"slipway/deploy/store"
)

func TestPeek(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.db")
	if _, _, err := store.Peek(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Peek made a database: %v", err)
	}
	s, err := store.Open(context.Background(), path, silent())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	event := deploy.Event{Sequence: 1, ID: "one", Type: deploy.EventServerStarted, Actor: deploy.ServerActor("test")}
	if err := s.Project(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	if n, id, err := store.Peek(t.Context(), path); n != 1 || id != "one" || err != nil {
		t.Errorf("while it is in use: %d, %q, %v", n, id, err)
	}
	s.Close()
	if n, id, err := store.Peek(t.Context(), path); n != 1 || id != "one" || err != nil {
		t.Errorf("of a closed one: %d, %q, %v", n, id, err)
	}
	if err := os.WriteFile(path, []byte("not a database at all, and long enough to be looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Peek(t.Context(), path); err == nil {
		t.Error("a file that is no database was read")
	}
}
