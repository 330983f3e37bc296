package release

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/durable"
	"slipway/deploy/sandbox"
)

// spec is an instance's spec.json: everything its keeper needs, so that a person can start the
// instance again from its folder and the server's key alone. Mode 0600.
type spec struct {
	Instance     deploy.Instance `json:"instance"`
	Revision     deploy.OID      `json:"revision"`
	Dir          string          `json:"dir"`            // the release's directory
	Port         int             `json:"port,omitempty"` // 0 for a process without traffic
	Health       string          `json:"health,omitempty"`
	ReadyTimeout time.Duration   `json:"readyTimeout"`
	// Trial is true until the instance was ready once; until then its keeper does not start it again.
	Trial    bool          `json:"trial"`
	Grace    time.Duration `json:"grace"`
	LogBytes int64         `json:"logBytes"`
	LogFiles int           `json:"logFiles"`
	Sandbox  sandbox.Spec  `json:"sandbox"` // its environment is without Variables
	// Variables are the app's own as they were when the instance was made, encrypted; "" for none.
	Variables string `json:"variables,omitempty"`

	folder string
}

const specFile = "spec.json"

// write saves s in its folder. On trial nothing is lost with it, since a plan can be followed again; once
// it is kept, it is to survive a power cut: see sync.
func (s *spec) write() error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding an instance's spec: %w", err)
	}
	if err := replaceFile(filepath.Join(s.folder, specFile), append(b, '\n')); err != nil {
		return fmt.Errorf("writing an instance's spec: %w", err)
	}
	return nil
}

// sync brings what was written to disk.
func (s *spec) sync() error {
	if err := durable.Sync(filepath.Join(s.folder, specFile), s.folder); err != nil {
		return fmt.Errorf("bringing an instance's spec to disk: %w", err)
	}
	return nil
}

func readSpec(folder string) (*spec, error) {
	b, err := os.ReadFile(filepath.Join(folder, specFile))
	if err != nil {
		return nil, fmt.Errorf("reading an instance's spec: %w", err)
	}
	s := &spec{folder: folder}
	if len(b) == 0 || b[0] == 0 { // its name was on disk before its content
		return nil, fmt.Errorf("reading an instance's spec: %s is empty: %w", folder, fs.ErrNotExist)
	}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("reading an instance's spec: %s: %w", folder, err)
	}
	return s, nil
}

// specs reads the instances of release n, the one with traffic first. A folder without a spec was
// never started.
func (e *Local) specs(app deploy.AppName, n deploy.Number) ([]*spec, error) {
	var found []*spec
	for _, f := range e.folders(app) {
		if f.release != n {
			continue
		}
		s, err := readSpec(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b *spec) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			cmp.Compare(a.Instance.Process, b.Instance.Process),
			cmp.Compare(a.Instance.Index, b.Instance.Index))
	})
	return found, nil
}

func rank(s *spec) int {
	if s.Port != 0 {
		return 0
	}
	return 1
}

func instancesOf(specs []*spec) []deploy.Instance {
	var all []deploy.Instance
	for _, s := range specs {
		all = append(all, s.Instance)
	}
	return all
}

// withTraffic returns the instances that requests can be sent to.
func withTraffic(all []deploy.Instance) []deploy.Instance {
	return slices.DeleteFunc(slices.Clone(all), func(i deploy.Instance) bool { return i.Addr == "" })
}

// folder is an instance's folder, whose name is the release, the process and the index.
type folder struct {
	path    string
	name    string
	release deploy.Number
}

func (e *Local) folders(app deploy.AppName) []folder {
	var found []folder
	dir := e.layout.Instances(app)
	for _, entry := range list(dir) {
		number, _, _ := strings.Cut(entry.Name(), "-")
		n, err := deploy.ParseNumber(number)
		if err == nil && entry.IsDir() {
			found = append(found, folder{path: filepath.Join(dir, entry.Name()), name: entry.Name(), release: n})
		}
	}
	return found
}

func (e *Local) folder(app deploy.AppName, n deploy.Number, process string, index int) string {
	return filepath.Join(e.layout.Instances(app), n.String()+"-"+label(process)+"-"+strconv.Itoa(index))
}

// sandboxName names an instance's sandbox. Apps' names begin with a letter, and no name that another
// package gives to a sandbox holds an app's name and a dot.
func sandboxName(app deploy.AppName, n deploy.Number, process string, index int) string {
	return sandboxPrefix(app, n) + label(process) + "." + strconv.Itoa(index)
}

func sandboxPrefix(app deploy.AppName, n deploy.Number) string {
	return string(app) + "." + n.String() + "."
}

// label writes a process's name with what folders and sandboxes may be called. A name that had to be
// changed gets a number of its own, so that two of them stay two.
func label(process string) string {
	const most = 30
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(process))
	if s == process && len(s) <= most {
		return s
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(process)) // it never fails
	return fmt.Sprintf("%.*s-%08x", most-9, s, h.Sum32())
}
