package sandbox

import (
	"log/slog"
	"os"
	"sync"
)

// Mode says how commands are shut in.
type Mode string

// The modes.
const (
	ModeBubblewrap Mode = "bubblewrap"
	// ModeNone runs commands as plain process groups on the host, under an unprivileged user id if the
	// server is root, with what limits can be had. It is no protection: the operator has to ask for it.
	ModeNone Mode = "none"
)

// DefaultFirstID is where host user ids begin unless configured: above those of people, system users
// and what distributions hand out to containers by default.
const DefaultFirstID = 200000

// NoCgroups as Config.CgroupRoot leaves cgroups alone.
const NoCgroups = "none"

// Config says how a [Sandbox] works. The zero value is usable.
type Config struct {
	Mode Mode // "" is ModeBubblewrap
	// Toolchains are extra host files and folders, readable inside at the same path.
	Toolchains []string
	// FirstID is the host user and group id of Spec.ID 0 when the server is root; 0 is DefaultFirstID.
	FirstID uint32
	// CgroupRoot is the cgroup below which Group is made: a path below the hierarchy's mount point, the
	// mount point itself optional. "" finds one; NoCgroups does without.
	CgroupRoot string
	// Group is the folder that holds the cgroups; "" is "slipway". Names are unique in it, so each server
	// on a machine needs its own.
	Group string
	// Bubblewrap is the program's path; "" looks for bwrap in PATH.
	Bubblewrap string
	// CopyScratch copies what a mount with a scratch folder covers even where an overlay would do.
	CopyScratch bool
	// Logger gets warnings about what cannot be limited; nil drops them.
	Logger *slog.Logger
}

// Sandbox starts commands and finds those that run. It is safe for concurrent use.
type Sandbox struct {
	config Config
	logger *slog.Logger
	root   bool // the server may change user ids

	groupsOnce sync.Once
	groups     *hierarchy // nil where no cgroup can be had; read it through hierarchy()
	groupsErr  error

	filterOnce sync.Once
	filter     []byte
	filterErr  error
}

// New returns a sandbox. It touches nothing; [Sandbox.Check] tells whether it will work.
func New(c Config) *Sandbox {
	if c.Mode == "" {
		c.Mode = ModeBubblewrap
	}
	if c.FirstID == 0 {
		c.FirstID = DefaultFirstID
	}
	if c.Group == "" {
		c.Group = "slipway"
	}
	logger := c.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Sandbox{config: c, logger: logger, root: os.Geteuid() == 0}
}

// Inside tells whether commands see paths of their own. In ModeNone they see the host's.
func (s *Sandbox) Inside() bool { return s.config.Mode != ModeNone }

// Path returns how a command sees a folder that the host has at host and that is mounted at inside.
func (s *Sandbox) Path(host, inside string) string {
	if s.Inside() {
		return inside
	}
	return host
}

// HostID returns the host user and group that Spec.ID id runs as, and who therefore must own what it
// writes to.
func (s *Sandbox) HostID(id uint32) (uid, gid int) {
	if !s.root {
		return os.Getuid(), os.Getgid()
	}
	return int(s.config.FirstID + id), int(s.config.FirstID + id)
}

// Tidy removes the folder of cgroups if no sandbox is left in it, of whichever process; otherwise it does
// nothing. A server calls it when it ends. Starting a sandbox makes the folder again.
func (s *Sandbox) Tidy() error {
	if h, err := s.hierarchy(); err == nil {
		return h.tidy()
	}
	return nil
}

// hierarchy returns where cgroups are made, or nil and why there is none.
func (s *Sandbox) hierarchy() (*hierarchy, error) {
	s.groupsOnce.Do(func() { s.groups, s.groupsErr = findHierarchy(s.config.CgroupRoot, s.config.Group) })
	return s.groups, s.groupsErr
}

// tag marks a process as belonging to a sandbox where there is no cgroup to tell.
func (s *Sandbox) tag(name string) string { return s.config.Group + "/" + name }
