package inner

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Plan is what the server asks of the program: its first argument, as JSON. The script's argv follows
// as further arguments, its environment is the program's own.
type Plan struct {
	// Egress is the egress proxy's unix socket as seen inside; "" for no network.
	Egress string `json:"egress,omitempty"`
	// App is to run beside the script; nil for none.
	App *App `json:"app,omitempty"`
	// Report is the unix socket that takes the [Report], as seen inside; "" for none.
	Report string `json:"report,omitempty"`
}

// App is a web process that runs beside a script.
type App struct {
	Run     string            `json:"run"`            // a shell command
	Env     map[string]string `json:"env,omitempty"`  // over the program's own environment
	Path    string            `json:"path,omitempty"` // of its health; "" means /up, then a TCP connection
	Storage string            `json:"storage"`        // a folder to make for what it keeps
	Ready   time.Duration     `json:"ready"`          // how long it may take to be ready
	Grace   time.Duration     `json:"grace"`          // between TERM and KILL at the end
}

// Args are the arguments for [Main] that run argv by the plan.
func (p Plan) Args(argv []string) []string {
	b, err := json.Marshal(p)
	if err != nil {
		panic("inner: plan: " + err.Error()) // strings and numbers only: it cannot happen
	}
	return append([]string{string(b)}, argv...)
}

func parse(args []string) (Plan, []string, error) {
	var p Plan
	if len(args) < 2 {
		return p, nil, errors.New("usage: inner PLAN COMMAND [ARGUMENT…]")
	}
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
		return p, nil, fmt.Errorf("reading plan: %w", err)
	}
	return p, args[1:], nil
}

// Report is what the program saw that an exit status cannot tell. It comes from inside the sandbox,
// so the script can forge it: it serves to word a failure, never to make a success.
type Report struct {
	// NotReady says why the script was never started: the app did not become ready.
	NotReady string `json:"notReady,omitempty"`
	// AppExit says how the app ended while the script ran; "" if it did not.
	AppExit string `json:"appExit,omitempty"`
	// Fault says what kept the program itself from working.
	Fault string `json:"fault,omitempty"`
}
