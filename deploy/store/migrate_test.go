package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"slipway/deploy/store/pgtest"
)

// emptyDatabase is an empty one, and its kind.
func emptyDatabase(t *testing.T) (*sql.DB, dialect) {
	t.Helper()
	where, postgres := pgtest.Database(t)
	driver, d := "pgx", dialectPostgres
	if !postgres {
		var err error
		driver, d = "sqlite", dialectSQLite
		if where, err = dsn(where, writing); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open(driver, where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db, d
}

func stepNames(t *testing.T, d dialect) []string {
	t.Helper()
	names, err := fs.Glob(migrations(d), "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("there are the migrations %v, error %v", names, err)
	}
	return names
}

// upTo is the first migrations.
func upTo(t *testing.T, d dialect, names []string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range names {
		b, err := fs.ReadFile(migrations(d), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: b}
	}
	return files
}

// TestMigrations brings each schema, with the data of testdata/NNN.sql in it, to the newest one. A step
// may keep the data, or empty the database as a whole, which is then filled from the log again.
func TestMigrations(t *testing.T) {
	_, d := emptyDatabase(t)
	steps := stepNames(t, d)
	for i, step := range steps {
		db, d := emptyDatabase(t)
		if err := migrate(t.Context(), db, upTo(t, d, steps[:i+1])); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join("testdata", step[:3]+".sql"))
		if err != nil {
			t.Fatalf("every schema has data to be tested with: %v", err)
		}
		if _, err := db.Exec(string(data)); err != nil {
			t.Fatalf("the data of %s: %v", step, err)
		}
		if err := migrate(t.Context(), db, migrations(d)); err != nil {
			t.Errorf("from %s: %v", step, err)
		}
		var sequence, events, deployments, users int
		err = db.QueryRow(`SELECT sequence, (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM users),
			(SELECT COUNT(*) FROM deployments WHERE settled AND number = 42 AND app = 'shop') FROM projection`).
			Scan(&sequence, &events, &users, &deployments)
		found := []int{sequence, events, users, deployments}
		if err != nil || !slices.Equal(found, []int{1, 1, 1, 1}) && !slices.Equal(found, []int{0, 0, 0, 0}) {
			t.Errorf("from %s: the position, events, users and deployments are %v, error %v", step, found, err)
		}
		if had, err := stepsHad(t.Context(), db); err != nil || len(had) != len(steps) {
			t.Errorf("the schema has had %v, error %v", had, err)
		}
	}
}

// TestBothDialects: what one of them has, the other one has, and no comparison depends on a language.
func TestBothDialects(t *testing.T) {
	if lite, postgres := stepNames(t, dialectSQLite), stepNames(t, dialectPostgres); !slices.Equal(lite, postgres) {
		t.Errorf("the migrations are %v and %v", lite, postgres)
	}
	db, d := emptyDatabase(t)
	if d != dialectPostgres {
		return
	}
	if err := migrate(t.Context(), db, migrations(d)); err != nil {
		t.Fatal(err)
	}
	var odd string
	err := db.QueryRow(`SELECT COALESCE(string_agg(table_name || '.' || column_name, ', '), '') FROM information_schema.columns
		WHERE table_schema = current_schema() AND data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C'`).Scan(&odd)
	if err != nil || odd != "" {
		t.Errorf(`without COLLATE "C": %s, error %v`, odd, err)
	}
}

// TestMigrate: steps run once, in order, each wholly or not at all.
func TestMigrate(t *testing.T) {
	db, d := emptyDatabase(t)
	files := fstest.MapFS{
		"001_first.sql": {Data: []byte("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);")},
	}
	for range 2 {
		if err := migrate(t.Context(), db, files); err != nil {
			t.Fatal(err)
		}
	}
	files["002_second.sql"] = &fstest.MapFile{Data: []byte("UPDATE a SET x = x + 1; CREATE TABLE a (x INTEGER);")}
	if err := migrate(t.Context(), db, files); err == nil || damaged(err) != (d == dialectSQLite) {
		t.Errorf("a step that fails: %v; to SQLite's file it must count as damage", err)
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
	if err := migrate(t.Context(), db, files); !errors.Is(err, errUnknownSchema) {
		t.Errorf("a schema from the future: got %v, want %v", err, errUnknownSchema)
	}
	for _, name := range []string{"001_again.sql", "0002_long.sql", "second.sql"} {
		files[name] = files["001_first.sql"]
		if err := migrate(t.Context(), db, files); err == nil || errors.Is(err, errUnknownSchema) {
			t.Errorf("a migration named %s: %v", name, err)
		}
		delete(files, name)
	}
}
