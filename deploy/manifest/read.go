package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"slipway/deploy"
)

// The files that a tree may describe its app in.
const (
	fileName     = "slipway.toml"
	procfileName = "Procfile"
)

// MaxSize is the largest slipway.toml or Procfile that is read, in bytes.
const MaxSize = 64 << 10

// Read returns the manifest of the tree at root, every default filled in: what its slipway.toml says,
// or what its Procfile and its other files show, with Detected set. A slipway.toml without any process
// takes the processes of a Procfile. The error is a [deploy.Rejection] unless the tree could not be
// read. Read keeps nothing of root.
func Read(root *os.Root) (*deploy.Manifest, error) {
	t := &tree{root: root}
	text, ok, err := t.own(fileName)
	if err != nil {
		return nil, err
	}
	if !ok {
		return detect(t)
	}
	r := newReader(fileName, text)
	r.read()
	if len(r.mistakes) == 0 && len(r.m.Processes) == 0 && !r.m.External() {
		if err := r.processesFrom(t); err != nil {
			return nil, err
		}
	}
	if len(r.mistakes) == 0 {
		r.needWeb()
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.m, nil
}

// Parse reads a slipway.toml, called name in what it says of mistakes. Its error is always a
// [deploy.Rejection]. Whether there is anything to run only [Read] can tell, since a Procfile may
// say it.
func Parse(name string, text []byte) (*deploy.Manifest, error) {
	r := newReader(name, text)
	r.read()
	if len(r.m.Processes) > 0 && len(r.mistakes) == 0 {
		r.needWeb()
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.m, nil
}

func newReader(name string, text []byte) *reader {
	// Editors on Windows put a byte order mark first, which TOML 1.0 does not know.
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	return &reader{source: &source{name: name, text: text}, m: defaults(), seen: map[string]*node{}}
}

func (r *reader) read() {
	if len(r.text) > MaxSize {
		r.text = nil
		r.fail(0, 1, fmt.Sprintf("the file is larger than %d KiB", MaxSize>>10), "keep scripts in files of their own and name them here")
		return
	}
	top := parseDocument(r.source)
	if top == nil {
		return
	}
	r.document(top)
	r.rules()
}

// processesFrom adds what a Procfile says to a slipway.toml without processes.
func (r *reader) processesFrom(t *tree) error {
	p, err := readProcfile(t)
	if err != nil {
		return err
	}
	if p == nil {
		return r.nothingToRun(t)
	}
	r.m.Processes = p.processes
	if _, written := r.at("[deploy] release"); !written && p.release != "" {
		r.m.Deploy.Release.Commands = []string{p.release}
	}
	return nil
}

// nothingToRun rejects a slipway.toml that says nothing to run, with what would.
func (r *reader) nothingToRun(t *tree) error {
	rejection := deploy.Reject(deploy.CodeManifest, "%s has no process: there is nothing to run", fileName)
	rejection.Line = rejection.Message
	g, err := look(t, nil)
	if err != nil {
		return err
	}
	if g == nil || g.main.web == "" {
		return rejection.WithHint("add the command that starts the app, listening on 127.0.0.1:$PORT:\n\n[process.web]\nrun = \"./bin/app\"")
	}
	if len(r.m.Build.Commands) > 0 {
		g.build = nil
	}
	m := defaults()
	m.Build.Commands, m.Processes = g.build, g.processes()
	return rejection.WithHint("add for what the tree shows (%s):\n\n%s", g.main.sign, strings.TrimSuffix(sections(m), "\n"))
}

// own reads one of the app's two files of Slipway's concern. It must be a regular file.
func (t *tree) own(name string) (text []byte, ok bool, err error) {
	info, err := t.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("reading %s: %w", name, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, false, refuseFile("%s is a symbolic link; expected a file", name)
	case info.IsDir():
		return nil, false, refuseFile("%s is a folder; expected a file", name)
	case !info.Mode().IsRegular():
		return nil, false, refuseFile("%s is no regular file", name)
	case info.Size() > MaxSize:
		return nil, false, refuseFile("%s is larger than %d KiB; keep scripts in files of their own and name them in it", name, MaxSize>>10)
	}
	text, err = t.root.ReadFile(name)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", name, err)
	}
	return text, true, nil
}

func refuseFile(format string, args ...any) error {
	return deploy.Reject(deploy.CodeManifest, format, args...)
}
