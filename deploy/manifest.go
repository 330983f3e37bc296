package deploy

import "time"

// Manifest is how a revision wants to be built, tested, run and watched: the meaning of its
// slipway.toml, or what was detected in its tree, with every default filled in.
type Manifest struct {
	Detected  bool // there was no slipway.toml
	Build     Step
	Tests     []TestSet // in the file's order
	Processes []Process // "web" first if there is one
	Deploy    DeployPlan
	Hooks     Hooks
	Health    Health
	Verify    Verify
	Monitor   MonitorPlan
}

// Web returns the process that gets traffic, and whether there is one.
func (m *Manifest) Web() (Process, bool) {
	for _, p := range m.Processes {
		if p.Name == WebProcess {
			return p, true
		}
	}
	return Process{}, false
}

// External tells whether production is elsewhere, reached by the team's own command.
func (m *Manifest) External() bool { return len(m.Deploy.Run.Commands) > 0 }

// WebProcess is the process that gets an app's HTTP traffic.
const WebProcess = "web"

// Step is a script that runs in the sandbox, in the work tree.
type Step struct {
	Commands []string // each run by sh -e, in order; none means nothing to do
	Network  bool     // through the egress proxy
	Cache    []string // folders of the work tree kept between builds of this app, slash-separated, relative
	Env      map[string]string
	Limits   Limits
}

// Limits bound a step or a process. Zero means the server's default.
type Limits struct {
	Memory    int64         // bytes
	Processes int           // processes and threads
	CPU       float64       // cores
	FileSize  int64         // bytes of one file
	Disk      int64         // bytes written in the work tree, cache and /tmp together
	Timeout   time.Duration // of a step; a process has none
}

// TestSet is a named step that must pass.
type TestSet struct {
	Name  string
	Step  Step
	App   bool     // the built app runs beside it in the same sandbox
	Needs []string // sets that must have passed before
	// Requires are services, tcp://host:port, without which the set can tell nothing of the revision.
	Requires []string
}

// Process is a kind of instance that a release runs.
type Process struct {
	Name   string
	Run    string // one shell command
	Env    map[string]string
	Limits Limits
}

// DeployPlan is the manifest's [deploy] part.
type DeployPlan struct {
	Release      Step // before the switch, with the app's own variables and storage; no commands: none
	ReadyTimeout time.Duration
	DrainTimeout time.Duration
	KeepReleases int
	Run, Undo    Step // production is elsewhere: the team's own way there and back
}

// Hooks are the manifest's [hooks]: commands at named points of a deployment.
type Hooks struct {
	BeforeDeploy, AfterAccept, AfterReject, AfterRollback Step
}

// Health says how an instance, or a production that is elsewhere, shows that it can serve.
type Health struct {
	Path string // "" means /up, then a TCP connection
	URL  string // the real address where production is elsewhere
}

// Verify says where a production that is elsewhere tells its revision.
type Verify struct {
	URL string
}

// MonitorPlan says how a candidate is watched after the switch.
type MonitorPlan struct {
	BakeTime     time.Duration // zero: one look, no waiting
	Interval     time.Duration
	ErrorPattern string  // a regular expression (RE2) that no line of the app's log may match; "" means none
	MaxMemory    int64   // bytes of resident memory of an instance; zero: the process's own limit
	MaxCPU       float64 // cores used on average over the watch; zero: no limit
	MaxErrorRate float64 // share of 5xx among real requests and probes, 0 to 1
	MaxRestarts  int
}
