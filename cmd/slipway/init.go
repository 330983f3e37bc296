package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"slipway/deploy/manifest"
)

// initCommand writes the manifest that fits a working tree.
func initCommand(args []string, std stdio) error {
	f := newFlags("init")
	force := f.Bool("force", false, "")
	names, err := f.parse(args, 0, 1)
	if err != nil {
		return err
	}
	dir := "."
	if len(names) == 1 {
		dir = names[0]
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	const name = "slipway.toml"
	if _, err := root.Lstat(name); err == nil {
		if !*force {
			return fmt.Errorf("there is a %s already: change it, or replace it with slipway init -force", name)
		}
		if err := root.Remove(name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m, err := manifest.Read(root)
	if err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	text := manifest.Format(m)
	if _, err := out.Write(text); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%s written; read it, change what is wrong, commit it:\n\n", name)
	_, err = std.out.Write(text)
	return err
}
