package retention_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"

	"slipway/deploy"
	"slipway/deploy/retention"
)

// fullLog takes an event only after so many failures.
type fullLog struct {
	failures int
	err      error
}

func (f *fullLog) Record(_ context.Context, e deploy.Event) (deploy.Event, error) {
	if f.failures--; f.failures >= 0 {
		return e, fmt.Errorf("recording: %w", f.err)
	}
	return e, nil
}

// A record that does not fit gets room from the reserve, piece by piece; one that fails otherwise does
// not.
func TestReserve(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reserve")
	log := &fullLog{}
	r := retention.NewReserve(dir, log, slog.New(slog.DiscardHandler))
	record := func(failures int, err error) error {
		*log = fullLog{failures, err}
		_, err = r.Record(t.Context(), deploy.Event{})
		return err
	}
	pieces := func() int {
		found, err := filepath.Glob(filepath.Join(dir, "?"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if err := record(1, syscall.ENOSPC); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("without a reserve: %v", err)
	}
	for range 2 {
		if err := r.Fill(); err != nil || pieces() != 8 {
			t.Fatalf("%v, %d pieces", err, pieces())
		}
		if err := record(3, syscall.ENOSPC); err != nil || pieces() != 5 {
			t.Errorf("%v, %d pieces", err, pieces())
		}
	}
	if err := record(1, syscall.EIO); !errors.Is(err, syscall.EIO) || pieces() != 5 {
		t.Errorf("%v, %d pieces", err, pieces())
	}
	if err := record(100, syscall.EDQUOT); !errors.Is(err, syscall.EDQUOT) || pieces() != 0 {
		t.Errorf("%v, %d pieces", err, pieces())
	}
	if r.Full() {
		t.Error("the disk of these tests should not be full")
	}
}
