package keeper

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"slipway/deploy/durable"
)

// The names of the files in a keeper's folder.
const (
	lockFile   = "keeper.lock"
	socketFile = "keeper.sock"
	stateFile  = "state.json"
	ownLogFile = "keeper.log"
	outputFile = "output.log"
)

// Status is what a keeper knows of itself and of its child.
type Status struct {
	Keeper    Identity  `json:"keeper"`
	Child     Identity  `json:"child"`              // of the present child, or of the last one
	Running   bool      `json:"running"`            // the child runs
	StartedAt time.Time `json:"startedAt,omitzero"` // when the present child, or the last one, was started
	// Trial says that the child is not kept yet: when it ends, it is left so.
	Trial bool `json:"trial"`
	// Ended says that the child ended on trial and that nothing will start it again by itself.
	Ended    bool   `json:"ended"`
	Stopping bool   `json:"stopping"`           // the keeper was asked to stop
	Stopped  bool   `json:"stopped"`            // and its child has ended
	Starts   int    `json:"starts"`             // by this keeper
	Restarts int    `json:"restarts"`           // starts after an end that nobody asked for, by all keepers of the folder
	LastExit string `json:"lastExit,omitempty"` // in the words of Process.Wait: "exit status 1"
	LogPath  string `json:"logPath"`
}

// ReadStatus reads what the keeper of dir last recorded, whether it still runs or not. It fails with
// an fs.ErrNotExist where there never was one, or a power cut left nothing of what it recorded.
func ReadStatus(dir string) (Status, error) {
	var s Status
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, fmt.Errorf("reading the keeper's state: %w", err)
	}
	if len(b) == 0 || b[0] == 0 { // its name was on disk before its content
		return s, fmt.Errorf("reading the keeper's state %s: it is empty: %w", filepath.Join(dir, stateFile), os.ErrNotExist)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("reading the keeper's state %s: %w", filepath.Join(dir, stateFile), err)
	}
	s.LogPath = LogPath(dir)
	return s, nil
}

// LogPath is where a keeper of dir writes what its child says.
func LogPath(dir string) string { return filepath.Join(dir, outputFile) }

// writeStatus replaces the state file in one step, so that whoever reads it finds the old or the new
// state whole. It is on disk after syncStatus. What a power cut leaves in between does not matter for who
// is alive, since nobody is.
func writeStatus(dir string, s Status) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the keeper's state: %w", err)
	}
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path+durable.NewSuffix, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the keeper's state: %w", err)
	}
	if err := os.Rename(path+durable.NewSuffix, path); err != nil {
		return fmt.Errorf("writing the keeper's state: %w", err)
	}
	return nil
}

// syncStatus brings the state file to disk, and its name.
func syncStatus(dir string) error {
	if err := durable.Sync(filepath.Join(dir, stateFile), dir); err != nil {
		return fmt.Errorf("syncing the keeper's state: %w", err)
	}
	return nil
}
