package deploy

import "time"

// App is an app as the operator created it.
type App struct {
	Name         AppName   `json:"name"`
	ID           uint32    `json:"id"` // from 1; its host user id is derived from it
	GatedRef     RefName   `json:"gatedRef"`
	ObjectFormat string    `json:"objectFormat"` // sha1 or sha256
	CreatedAt    time.Time `json:"createdAt"`
}

// Job is what the stages get of a deployment in work: where its tree is and how it wants to be made.
type Job struct {
	Number   Number
	App      App
	Revision OID
	Commit   Commit
	Pusher   Pusher
	Manifest *Manifest
	Tree     string // the work tree, an absolute directory; the release directory once there is one
}

// Target returns what the job changes.
func (j *Job) Target() Target { return Target{App: j.App.Name, Environment: Production} }

// Release is a tested tree in a directory of its own that nobody writes to any more.
type Release struct {
	App       AppName   `json:"app"`
	Number    Number    `json:"number"` // of the deployment that made it
	Revision  OID       `json:"revision"`
	Dir       string    `json:"dir"`
	CreatedAt time.Time `json:"createdAt"`
}

// Instance is one running process of a release.
type Instance struct {
	App     AppName `json:"app"`
	Release Number  `json:"release"`
	Process string  `json:"process"`
	Index   int     `json:"index"`          // from 1
	Addr    string  `json:"addr,omitempty"` // host:port on the loopback; "" for a process without traffic
}

// Candidate is a release that has been started and is ready, or that production elsewhere is to get.
type Candidate struct {
	Release   Release    `json:"release"`
	Instances []Instance `json:"instances"`
}

// InstanceState is what can be seen of an instance from outside at one moment.
type InstanceState struct {
	Running   bool
	PID       int           // of the process group's leader, as the host numbers it
	StartedAt time.Time     // of the present process
	Restarts  int           // since the instance was first started
	Memory    int64         // bytes, all its processes
	CPU       time.Duration // spent so far, all its processes
	Dir       string        // the release directory it was started from
	Listening bool          // a process of the instance owns the socket at its address
	LogPath   string        // its present log file
	LastExit  string        // how the process ended last: "exit status 1", "killed", "memory limit of 256 MiB reached"
}

// TrafficCounts counts what the router has passed to an instance since the instance was added.
type TrafficCounts struct {
	Requests  int64           `json:"requests"`
	ByClass   [6]int64        `json:"byClass"` // index 2 is 2xx, … 5 is 5xx; 0 counts requests that got no answer
	InFlight  int64           `json:"inFlight"`
	Latencies []time.Duration `json:"latencies,omitempty"` // the newest ones, at most 1,000, unordered
}
