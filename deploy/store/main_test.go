package store_test

import (
	"os"
	"testing"

	"slipway/deploy/store/pgtest"
)

// TestMain runs every test twice, on SQLite and on a PostgreSQL of its own, which has to be installed.
func TestMain(m *testing.M) { os.Exit(pgtest.Twice(m, "fsync=off")) }
