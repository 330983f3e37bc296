package store_test

import (
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/deploy/store"
	"slipway/deploy/store/pgtest"
)

// TestPeekPostgres looks at a database that is empty, in use, behind its schema, of the future and away.
func TestPeekPostgres(t *testing.T) {
	where, postgres := pgtest.Database(t)
	if !postgres {
		return // it is run with both kinds
	}
	peek := got[store.Peeked](t)
	empty := peek(store.PeekPostgres(t.Context(), where))
	if empty.Schema != 0 || empty.Known == 0 || empty.Sequence != 0 {
		t.Errorf("of an empty one: %+v", empty)
	}
	if again := peek(store.PeekPostgres(t.Context(), where)); again != empty {
		t.Errorf("looking has made %+v of it", again)
	}
	s, err := store.Open(t.Context(), where, silent())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	event := deploy.Event{Sequence: 1, ID: "one", Type: deploy.EventServerStarted, Actor: deploy.ServerActor("test")}
	if err := s.Project(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	same(t, "while it is in use", peek(store.PeekPostgres(t.Context(), where)),
		store.Peeked{Schema: empty.Known, Known: empty.Known, Sequence: 1, EventID: "one"})
	exec(t, where, "INSERT INTO schema_version (version) VALUES (999)")
	same(t, "one of the future has the schema", peek(store.PeekPostgres(t.Context(), where)).Schema, 999)
	if p, err := store.PeekPostgres(t.Context(), "postgres://slipway:hush@127.0.0.1:1/none"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("of one that is away: %+v, error %v", p, err)
	}
}
