package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/deploy"
)

// libexec holds the programs that are started in every push, small ones, which make build puts there.
//
//go:embed libexec
var libexec embed.FS

// embedded is one of the programs in libexec.
func embedded(name string) ([]byte, error) {
	b, err := fs.ReadFile(libexec, "libexec/"+name)
	if err != nil {
		return nil, fmt.Errorf("this program was built without %s: build it with make build", name)
	}
	return b, nil
}

// installAside puts the program that is started beside the server into the data directory, where the
// sandbox's user can read it, and returns its path. It is called slipway there, as ps shows it. Keepers
// that run an earlier one go on with that: its name is taken over, its file is not written to.
func installAside(l deploy.Layout) (string, error) {
	program, err := embedded("slipway-aside")
	if err != nil {
		return "", err
	}
	path := l.Aside()
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, program) {
		return path, os.Chmod(path, 0o755)
	}
	temporary := path + ".new"
	err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o711), os.Chmod(filepath.Dir(path), 0o711))
	if err == nil {
		err = os.WriteFile(temporary, program, 0o700)
	}
	// Whoever can execute it finds it whole.
	if err := errors.Join(err, os.Chmod(temporary, 0o755)); err != nil {
		return "", fmt.Errorf("installing the program beside the server: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return "", fmt.Errorf("installing the program beside the server: %w", err)
	}
	return path, nil
}
