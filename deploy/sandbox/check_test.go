package sandbox

import (
	"testing"

	"golang.org/x/sync/errgroup"
)

// Pushes to several apps try the sandbox at the same time.
func TestChecksAtOnce(t *testing.T) {
	s := newSandbox()
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { return s.Check(t.Context()) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
