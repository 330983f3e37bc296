package traffic

import (
	"encoding/json"
	"fmt"
	"os"

	"slipway/deploy/durable"
)

// state is the content of the state file: the table as it was last put in force. It lets a router
// that was killed serve again at once; what is recorded overrules it as soon as the server says so.
type state struct {
	Version int     `json:"version"`
	Routes  []Route `json:"routes"`
}

const stateVersion = 1

// writeState replaces the file at path, so that whoever reads it, also after a power cut, finds the
// old content or the new one whole.
func writeState(path string, routes []Route) error {
	b, err := json.MarshalIndent(state{Version: stateVersion, Routes: routes}, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding the table: %w", err)
	}
	return durable.Replace(path, append(b, '\n'))
}

// removeState makes sure that no stale table is found at path. A directory on a full disk can still
// lose an entry.
func removeState(path string) {
	_ = os.Remove(path + durable.NewSuffix) // what cannot be removed is not there, or overruled by the server
	_ = os.Remove(path)
}

// readState returns the routes in the file at path. It is all or nothing: a file that is missing,
// torn, or of another version is an error, and the caller starts without a table.
func readState(path string) ([]Route, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("reading %s: version %d is not known", path, s.Version)
	}
	if err := checkAll(s.Routes); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return s.Routes, nil
}
