package pipeline

import (
	"bytes"
	"errors"
	"testing"

	"slipway/deploy"
)

// TestTechnicalFailures: what fails for reasons outside the revision is tried once more before the switch,
// and is errored, not rejected, if it fails again. What the revision did wrong is not tried again.
func TestTechnicalFailures(t *testing.T) {
	silent := deploy.Reject(deploy.CodeTechnical, "tcp://db:5432 does not answer")
	for name, c := range map[string]struct {
		err    error
		times  int // that it fails
		status deploy.Status
		tries  int
	}{
		"a fault, once":            {errors.New("no cgroup"), 1, deploy.StatusAccepted, 2},
		"a fault, twice":           {errors.New("no cgroup"), 2, deploy.StatusErrored, 2},
		"a service, once":          {silent, 1, deploy.StatusAccepted, 2},
		"a service, twice":         {silent, 2, deploy.StatusErrored, 2},
		"the revision's own fault": {deploy.Reject(deploy.CodeTest, "got 3, want 2"), 1, deploy.StatusRejected, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.manifest.Tests = w.manifest.Tests[:1]
			tries := 0
			w.refuse = func(step string) error {
				if step != "test unit" {
					return nil
				}
				if tries++; tries <= c.times {
					return c.err
				}
				return nil
			}
			var out bytes.Buffer
			w.pipeline().Admit(t.Context(), offer(1), &out)
			if got := w.rows[1].Status; got != c.status || tries != c.tries {
				t.Errorf("status %s after %d tries, want %s after %d\n%s", got, tries, c.status, c.tries, out.String())
			}
			if c.tries == 2 {
				wantLines(t, out.String(), "test unit: technical failure, trying once more")
			}
			if c.status == deploy.StatusErrored && errors.Is(c.err, silent) {
				wantLines(t, out.String(), "errored: tcp://db:5432 does not answer", "push again later")
			}
		})
	}
}
