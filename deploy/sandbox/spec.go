package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Mount makes a file or folder of the host visible inside, at an absolute path.
type Mount struct {
	Source   string `json:"source"` // absolute, on the host; not a symbolic link
	Target   string `json:"target"` // absolute, inside
	Writable bool   `json:"writable,omitempty"`
	// Scratch takes what is written, so that Source stays as it is: an absolute path on the host whose
	// folder exists. It is made anew, and removed when the sandbox has ended. A mount with it is writable.
	Scratch string `json:"scratch,omitempty"`
}

// Limits bound a sandbox. Zero means no limit.
type Limits struct {
	Memory    int64         `json:"memory,omitempty"`    // bytes, the private /tmp included
	Processes int           `json:"processes,omitempty"` // processes and threads
	CPU       float64       `json:"cpu,omitempty"`       // cores
	FileSize  int64         `json:"fileSize,omitempty"`  // bytes of one file
	Disk      int64         `json:"disk,omitempty"`      // bytes by which /tmp and Spec.Watched may grow together
	Time      time.Duration `json:"time,omitempty"`
}

// Spec says what runs in a sandbox and what it sees. It holds no references, so that it can be written
// as JSON and started again by another process.
type Spec struct {
	// Name is unique among the running sandboxes of a Config.Group: [a-z0-9.-], at most 100 bytes.
	Name string `json:"name"`
	// ID is who it runs as on the host when the server is root: user and group Config.FirstID + ID.
	ID   uint32   `json:"id"`
	Argv []string `json:"argv"`
	// Env is the whole environment, as NAME=value.
	Env []string `json:"env"`
	// Dir is the working directory inside; on the host in ModeNone.
	Dir    string  `json:"dir"`
	Mounts []Mount `json:"mounts,omitempty"`
	// HostNetwork leaves it in the host's network namespace.
	HostNetwork bool   `json:"hostNetwork,omitempty"`
	Limits      Limits `json:"limits"`
	// Watched are host folders whose growth counts against Limits.Disk.
	Watched []string `json:"watched,omitempty"`
}

const maxNameLength = 100

func validName(name string) error {
	if name == "" || len(name) > maxNameLength || name[0] == '.' || name[0] == '-' {
		return fmt.Errorf("sandbox name %.120q: want 1 to %d of a-z, 0-9, dot and hyphen, not beginning with dot or hyphen", name, maxNameLength)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return fmt.Errorf("sandbox name %.120q: want a-z, 0-9, dot and hyphen only", name)
		}
	}
	return nil
}

func (s *Spec) validate() error {
	if err := validName(s.Name); err != nil {
		return err
	}
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return errors.New("no command to run")
	}
	if !filepath.IsAbs(s.Dir) {
		return fmt.Errorf("working directory %q is not absolute", s.Dir)
	}
	for _, text := range s.strings() {
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("%.40q holds a NUL byte", text)
		}
	}
	for _, e := range s.Env {
		if i := strings.IndexByte(e, '='); i < 1 {
			return fmt.Errorf("environment entry %.40q is not NAME=value", e)
		}
	}
	for _, m := range s.Mounts {
		if !filepath.IsAbs(m.Source) || !filepath.IsAbs(m.Target) || filepath.Clean(m.Target) == "/" {
			return fmt.Errorf("mount of %q on %q: both must be absolute, and the target below /", m.Source, m.Target)
		}
		if m.Scratch != "" && !filepath.IsAbs(m.Scratch) {
			return fmt.Errorf("mount of %q on %q: the scratch folder %q is not absolute", m.Source, m.Target, m.Scratch)
		}
	}
	return nil
}

// strings returns everything that is passed on NUL-terminated.
func (s *Spec) strings() []string {
	all := append([]string{s.Dir}, s.Argv...)
	all = append(all, s.Env...)
	for _, m := range s.Mounts {
		all = append(all, m.Source, m.Target, m.Scratch)
	}
	return all
}
