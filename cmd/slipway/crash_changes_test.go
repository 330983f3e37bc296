package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What makes a name in a file system, or takes it away, is a point at which the server can be killed, too. Nobody
// has to name these points: the program is built with a package os that tells of each of them.

// changes are the functions of package os that change names, by their file, and the parameter that says which.
var changes = []struct{ file, function, name, only string }{
	{file: "file.go", function: "Mkdir", name: "name"},
	{file: "file.go", function: "OpenFile", name: "name", only: "flag&O_CREATE != 0"},
	{file: "file.go", function: "Rename", name: "newpath"},
	{file: "file_unix.go", function: "Link", name: "newname"},
	{file: "file_unix.go", function: "Symlink", name: "newname"},
	{file: "file_unix.go", function: "Remove", name: "name"},
	{file: "path.go", function: "RemoveAll", name: "path"},
}

// tellsOfChanges is a file that package os gets besides.
const tellsOfChanges = `package os

// OnChange is told of each change of a name, before and after it.
var OnChange func(what, name string)

func change(what, name string) {
	if OnChange != nil {
		OnChange(what, name)
	}
}
`

// listensForChanges is a file that this package gets besides.
const listensForChanges = `package main

import "os"

func init() { everyChange = func(tell func(what, name string)) { os.OnChange = tell } }
`

// changesOverlay returns an overlay (go help build) with which the server's kill points are every change of a
// name, too. Where Go's package os has become another one, it says so.
func changesOverlay(t *testing.T, dir string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	osDir := filepath.Join(strings.TrimSpace(string(root)), "src", "os")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[string]string{}
	put := func(path, content string) {
		replaced[path] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replaced)))
		if err := os.WriteFile(replaced[path], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(osDir, "changes.go"), tellsOfChanges)
	put(filepath.Join(here, "killpoints_changes.go"), listensForChanges)
	sources := map[string]string{}
	for _, c := range changes {
		path := filepath.Join(osDir, c.file)
		if sources[path] == "" {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources[path] = string(b)
		}
		before, rest, found := strings.Cut(sources[path], "\nfunc "+c.function+"(")
		parameters, body, whole := strings.Cut(rest, "{\n")
		if !found || !whole || !strings.Contains(parameters, c.name) {
			t.Fatalf("os.%s has another form in this version of Go: mend changes in crash_changes_test.go", c.function)
		}
		what := strings.ToLower(c.function)
		tell := fmt.Sprintf("change(%q, %s)\ndefer change(%q, %s)\n", "before "+what, c.name, "after "+what, c.name)
		if c.only != "" {
			tell = "if " + c.only + " {\n" + tell + "}\n"
		}
		sources[path] = before + "\nfunc " + c.function + "(" + parameters + "{\n" + tell + body
	}
	for path, source := range sources {
		put(path, source)
	}
	b, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
