package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// schema is the version of the storage folder that this revision works with.
const schema = "1"

// migrate brings the storage folder to this revision's schema, and returns the one that it had. It may
// run any number of times.
func migrate(storage string) (from string, err error) {
	if storage == "" {
		return "", errors.New("migrate: SLIPWAY_STORAGE is not set")
	}
	from, err = readSchema(storage)
	if err != nil || from == schema {
		return from, err
	}
	return from, os.WriteFile(filepath.Join(storage, "schema"), []byte(schema+"\n"), 0o644)
}

// checkSchema fails where a storage folder was left by another schema. A new folder is fine as it is.
func checkSchema(storage string) error {
	have, err := readSchema(storage)
	if err == nil && have != schema && have != "0" {
		err = fmt.Errorf("storage has schema %s, want %s: run shop migrate", have, schema)
	}
	return err
}

func readSchema(storage string) (string, error) {
	b, err := os.ReadFile(filepath.Join(storage, "schema"))
	if errors.Is(err, fs.ErrNotExist) {
		return "0", nil
	}
	return strings.TrimSpace(string(b)), err
}
