package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/deploy/store"
)

// filled is the path of a closed database with two users in it.
func filled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slip way?%41#.db")
	s := reopen(t, path)
	h := &history{t: t, store: s}
	h.add(userCreated("alice", deploy.RoleAdmin))
	h.add(userCreated("bob", deploy.RoleViewer))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func reopen(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path, silent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOpenKeepsWhatIsThere(t *testing.T) {
	path := filled(t)
	s := reopen(t, path)
	if n := got[uint64](t)(s.LastSequence(t.Context())); n != 2 || s.Replaced() != (store.Replaced{}) {
		t.Errorf("last sequence %d, replaced %+v", n, s.Replaced())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, error %v", info.Mode(), err)
	}
}

// TestOpenReplacesWhatCannotBeUsed: the server must start whatever happened to its database.
func TestOpenReplacesWhatCannotBeUsed(t *testing.T) {
	exec := func(query string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path) // plain: the name's odd characters stay
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(query); err != nil {
				t.Fatal(err)
			}
		}
	}
	overwrite := func(offset int, with []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = append(b[:offset:offset], append(with, b[min(len(b), offset+len(with)):]...)...)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	noise := bytes.Repeat([]byte{0xa5, 0x13}, 2048)
	for name, harm := range map[string]func(*testing.T, string){
		"noise":                      func(t *testing.T, path string) { os.WriteFile(path, noise, 0o600) },
		"noise in its head":          overwrite(0, noise[:100]),
		"noise in its schema":        overwrite(100, noise[:3996]),
		"noise in its tables":        overwrite(4096, bytes.Repeat(noise, 20)),
		"cut in half":                func(t *testing.T, path string) { os.Truncate(path, 40<<10) },
		"a table missing":            exec("DROP TABLE grants; DELETE FROM schema_version; INSERT INTO schema_version VALUES (0)"),
		"a schema of another server": exec("INSERT INTO schema_version (version) VALUES (4711)"),
		"no position":                exec("DELETE FROM projection"),
		"no schema version":          exec("DROP TABLE schema_version"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "slipway.db")
			s := reopen(t, path)
			h := &history{t: t, store: s}
			h.add(userCreated("alice", deploy.RoleAdmin))
			s.Close()
			harm(t, path)
			s = reopen(t, path)
			r := s.Replaced()
			if r.Aside == "" || r.Cause == nil || !strings.HasPrefix(r.Aside, path+".damaged-") {
				t.Errorf("replaced %+v", r)
			}
			if _, err := os.Stat(r.Aside); err != nil {
				t.Error(err)
			}
			if n := got[uint64](t)(s.LastSequence(t.Context())); n != 0 {
				t.Errorf("last sequence is %d", n)
			}
			if err := s.Project(t.Context(), h.events...); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, try := range map[string]struct {
		ctx  context.Context
		path string
	}{
		"a folder":          {t.Context(), dir},
		"nowhere":           {t.Context(), filepath.Join(dir, "none", "slipway.db")},
		"another database":  {t.Context(), "mysql://localhost/slipway"},
		"nobody there":      {t.Context(), "postgres://localhost/slipway?host=" + dir},
		"no address":        {t.Context(), "postgres://localhost:port/slipway"},
		"when given up":     {canceled, filepath.Join(dir, "slipway.db")},
		"when given up, ok": {canceled, filled(t)},
	} {
		s, err := store.Open(try.ctx, try.path, silent())
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
		if moved, _ := filepath.Glob(filepath.Join(filepath.Dir(try.path), "*.damaged-*")); len(moved) > 0 {
			t.Errorf("%s: moved aside as %v", name, moved)
		}
	}
}

// TestOpenAfterAnyHarm: whatever bytes are wrong or missing, the store opens, as it was or empty.
func TestOpenAfterAnyHarm(t *testing.T) {
	whole, err := os.ReadFile(filled(t))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 36 {
		b := bytes.Clone(whole)
		if round%3 == 0 {
			b = b[:random.IntN(len(b))]
		}
		for range min(len(b), 1<<(round%12)) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		path := filepath.Join(t.TempDir(), "slipway.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), path, silent())
		if err != nil {
			t.Errorf("round %d: %v", round, err)
			continue
		}
		if _, err := s.LastSequence(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		s.Close()
	}
}
