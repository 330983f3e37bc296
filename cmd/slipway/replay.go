package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/store"
)

// replayed is a database of one's own, made from the audit log. It needs no lock, no server and not the
// server's database, and leaves nothing behind.
type replayed struct {
	*store.Store
	last deploy.Event // the newest one
	dir  string
}

// replay derives what is known from the log as it is now.
func replay(ctx context.Context, l deploy.Layout) (*replayed, error) {
	dir, err := os.MkdirTemp("", "slipway-")
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	r := &replayed{dir: dir}
	if r.Store, err = store.Open(ctx, filepath.Join(dir, "db"), slog.New(slog.DiscardHandler)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := r.project(ctx, l.Audit()); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *replayed) project(ctx context.Context, dir string) error {
	const most = 500
	var some []deploy.Event
	for line, err := range audit.Lines(dir, 1) {
		if err != nil {
			return err
		}
		r.last = line.Event
		if some = append(some, line.Event); len(some) < most {
			continue
		}
		if err := r.Project(ctx, some...); err != nil {
			return err
		}
		some = some[:0]
	}
	if len(some) == 0 {
		return nil
	}
	return r.Project(ctx, some...)
}

func (r *replayed) close() {
	_ = r.Close()
	_ = os.RemoveAll(r.dir) // it is in the temporary folder
}
