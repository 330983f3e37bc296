package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMigrate(t *testing.T) {
	storage := t.TempDir()
	if err := os.WriteFile(filepath.Join(storage, "schema"), []byte("0.9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkSchema(storage); err == nil {
		t.Error("a folder with another schema passed the check")
	}
	for _, want := range []string{"0.9", schema} {
		if from, err := migrate(storage); from != want || err != nil {
			t.Fatalf("migrated from %q (%v), want %q", from, err, want)
		}
		if err := checkSchema(storage); err != nil {
			t.Error(err)
		}
	}
}
