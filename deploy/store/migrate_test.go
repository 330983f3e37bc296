package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// upTo is the migrations up to a version.
func upTo(t *testing.T, version int) fs.FS {
	t.Helper()
	steps, err := fs.Glob(migrations(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, name := range steps[:version] {
		b, err := fs.ReadFile(migrations(), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: b}
	}
	return files
}

func database(t *testing.T) *sql.DB {
	t.Helper()
	path, err := dsn(filepath.Join(t.TempDir(), "test.db"), writing)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

// TestMigrations brings each schema, with the data of testdata/NNN.sql in it, to the next one, and that
// one on to the newest.
func TestMigrations(t *testing.T) {
	steps, err := fs.Glob(migrations(), "*.sql")
	if err != nil || len(steps) == 0 {
		t.Fatalf("there are the migrations %v, error %v", steps, err)
	}
	for version := 1; version <= len(steps); version++ {
		db := database(t)
		if err := migrate(t.Context(), db, upTo(t, version)); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(steps[version-1], "_")
		data, err := os.ReadFile(filepath.Join("testdata", name+".sql"))
		if err != nil {
			t.Fatalf("every schema has data to be tested with: %v", err)
		}
		if _, err := db.Exec(string(data)); err != nil {
			t.Fatal(err)
		}
		if err := migrate(t.Context(), db, migrations()); err != nil {
			t.Errorf("from %s: %v", steps[version-1], err)
		}
		var number int
		var app string
		if err := db.QueryRow("SELECT number, app FROM deployments WHERE settled").Scan(&number, &app); err != nil || number != 42 || app != "shop" {
			t.Errorf("from %s: deployment %d of %q, error %v", steps[version-1], number, app, err)
		}
		if v, err := schemaVersion(t.Context(), db); err != nil || v != len(steps) {
			t.Errorf("the schema has version %d, error %v", v, err)
		}
	}
}

// TestMigrate: steps run once, in order, each wholly or not at all.
func TestMigrate(t *testing.T) {
	db := database(t)
	files := fstest.MapFS{
		"001_first.sql": {Data: []byte("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);")},
	}
	for range 2 {
		if err := migrate(t.Context(), db, files); err != nil {
			t.Fatal(err)
		}
	}
	files["002_second.sql"] = &fstest.MapFile{Data: []byte("UPDATE a SET x = x + 1; CREATE TABLE a (x INTEGER);")}
	if err := migrate(t.Context(), db, files); err == nil || !damaged(err) {
		t.Errorf("a step that fails: %v; it must count as damage", err)
	}
	files["002_second.sql"] = &fstest.MapFile{Data: []byte("UPDATE a SET x = x + 1; ALTER TABLE a ADD COLUMN y INTEGER;")}
	if err := migrate(t.Context(), db, files); err != nil {
		t.Fatal(err)
	}
	var x int
	if err := db.QueryRow("SELECT SUM(x) FROM a").Scan(&x); err != nil || x != 2 {
		t.Errorf("x is %d, error %v; want 2", x, err)
	}
	delete(files, "002_second.sql")
	if err := migrate(t.Context(), db, files); !errors.Is(err, errDamaged) {
		t.Errorf("a schema from the future: got %v, want %v", err, errDamaged)
	}
	files["004_gap.sql"], files["003_x.sql"] = files["001_first.sql"], files["001_first.sql"]
	if err := migrate(t.Context(), db, files); err == nil {
		t.Error("a gap in the numbers: no error")
	}
}
