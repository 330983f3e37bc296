package store_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// connect opens a database beside the store.
func connect(t testing.TB, where string) (*sql.DB, bool) {
	t.Helper()
	driver, postgres := "sqlite", strings.Contains(where, "://")
	if postgres {
		driver = "pgx"
	}
	db, err := sql.Open(driver, where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, postgres
}

// exec does something to a database behind the store's back.
func exec(t testing.TB, where, query string, args ...any) {
	t.Helper()
	db, _ := connect(t, where)
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

// dump returns every row of every table, in an order that does not depend on how they came there. It is
// the same for both kinds of database.
func dump(t *testing.T, where string) string {
	t.Helper()
	db, postgres := connect(t, where)
	tables := "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
	if postgres {
		tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1"
	}
	var b strings.Builder
	for _, table := range rows(t, db, tables) {
		fmt.Fprintf(&b, "%s\n", table)
		all := rows(t, db, "SELECT * FROM "+table)
		slices.Sort(all)
		for _, row := range all {
			fmt.Fprintf(&b, "  %s\n", row)
		}
	}
	return b.String()
}

// rows returns the rows of a query, each as one line; truths are numbers.
func rows(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	found, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for found.Next() {
		values, at := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			at[i] = &values[i]
		}
		if err := found.Scan(at...); err != nil {
			t.Fatal(err)
		}
		var row []string
		for i, v := range values {
			if len(columns) == 1 {
				row = append(row, fmt.Sprint(v))
				continue
			}
			truth, is := v.(bool)
			if is {
				v = int64(0)
			}
			if truth {
				v = int64(1)
			}
			row = append(row, fmt.Sprintf("%s=%#v", columns[i], v))
		}
		slices.Sort(row) // columns may have been added in another order
		all = append(all, strings.Join(row, " "))
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
