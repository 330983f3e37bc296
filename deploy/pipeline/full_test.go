package pipeline

import (
	"bytes"
	"errors"
	"testing"

	"slipway/deploy"
)

// TestFullDisk: what fails for want of room or while the disk is full is the server's fault and says so, however it was
// put; what the revision did wrong beside it stays the revision's.
func TestFullDisk(t *testing.T) {
	failed := func(tail ...string) error {
		r := deploy.Reject(deploy.CodeBuild, "build failed (exit status 1)")
		r.Tail = tail
		return r
	}
	for name, c := range map[string]struct {
		full   bool
		err    error
		status deploy.Status
		says   string
	}{
		"a fault, disk full":    {true, errors.New("cannot lock ref"), deploy.StatusErrored, "fault: the server's disk is full"},
		"a fault for that":      {false, errors.New("the keeper ended: open state.json: no space left on device"), deploy.StatusErrored, "fault: the server's disk is full"},
		"another one for that":  {false, errors.New("bwrap: Can't mkdir /x: No space left on device"), deploy.StatusErrored, "fault: the server's disk is full"},
		"a fault":               {false, errors.New("cannot lock ref"), deploy.StatusErrored, "fault: internal error, deployment 1"},
		"a step, disk full":     {true, failed("cp: x: No space left on device"), deploy.StatusErrored, "fault: the server's disk is full"},
		"a step at its limit":   {false, failed("cp: x: No space left on device"), deploy.StatusRejected, "rejected: build failed"},
		"a wrong step, besides": {true, failed("undefined: x"), deploy.StatusRejected, "rejected: build failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.full = c.full
			w.refuse = func(step string) error {
				if step == "build" {
					return c.err
				}
				return nil
			}
			var out bytes.Buffer
			w.pipeline().Admit(t.Context(), offer(1), &out)
			if got := w.rows[1].Status; got != c.status {
				t.Errorf("status %s, want %s", got, c.status)
			}
			wantLines(t, out.String(), c.says)
		})
	}
}
