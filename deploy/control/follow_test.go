package control_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/deploy/control/controltest"
)

// TestFollowOutlivesPruning: whoever reads the log of a deployment that has ended reads it to its end, though
// the housekeeping takes the log away meanwhile.
func TestFollowOutlivesPruning(t *testing.T) {
	w := newWorld(t)
	w.apps()
	log := strings.Repeat(strings.Repeat("x", 99)+"\n", 10_000)
	dir := w.Layout.Deployment(1)
	w.Must(os.MkdirAll(dir, 0o700))
	w.Must(os.WriteFile(filepath.Join(dir, "build.log"), []byte(log), 0o600))
	var read bytes.Buffer
	w.Must(w.Control.Follow(t.Context(), controltest.Operator(), 1, "build", 0, func(text []byte, next int64) error {
		if read.Write(text); next != int64(read.Len()) {
			t.Fatalf("%d after %d bytes", next, read.Len())
		}
		return os.RemoveAll(dir)
	}))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the logs are still there: %v", err)
	}
	if read.String() != log {
		t.Errorf("%d of %d bytes were read", read.Len(), len(log))
	}
}
