package gitserver

import (
	"context"
	"strings"

	"slipway/deploy"
)

// store moves refs that are not gated, as git would: each for itself. The pusher's leaving does not
// matter any more.
func (d *decision) store(indexes []int) {
	if len(indexes) == 0 {
		return
	}
	// All in one transaction is one process. If it fails, at least one of them is wrong.
	if transaction, refused := d.prepare(indexes); refused == nil {
		d.commit(transaction, indexes)
		return
	}
	for _, deletions := range []bool{true, false} { // a deletion can make room for another name
		for _, i := range indexes {
			if d.updates[i].New.IsZero() != deletions {
				continue
			}
			transaction, refused := d.prepare([]int{i})
			if refused != nil {
				d.results[i].refused = refused
				continue
			}
			d.commit(transaction, []int{i})
		}
	}
}

// prepare locks refs; refused is why that cannot be, for the pusher.
func (d *decision) prepare(indexes []int) (t deploy.RefTransaction, refused *deploy.Rejection) {
	if len(indexes) == 0 {
		return nothing{}, nil
	}
	updates := make([]deploy.RefUpdate, len(indexes))
	for n, i := range indexes {
		updates[n] = d.updates[i]
	}
	t, err := d.session.server.config.Repos.PrepareAll(context.WithoutCancel(d.ctx), d.app.Name, updates)
	if err == nil {
		return t, nil
	}
	if rejection, ok := deploy.AsRejection(err); ok {
		return nil, rejection
	}
	for _, known := range []struct{ text, reason string }{
		{"non-commit object", "a branch must be a commit"},
		{"nonexistent object", "no such object"},
		{"' exists; cannot create '", "another ref has a name that is in the way"},
		{"Unable to create", "another push is moving this ref: try again"},
	} {
		if strings.Contains(err.Error(), known.text) {
			return nil, deploy.Reject(deploy.CodeUsage, "%s", known.reason)
		}
	}
	d.session.server.logger.Error("moving refs", "app", d.app.Name, "error", err)
	return nil, internalError()
}

// commit moves prepared refs, if it can be recorded that they are about to move, and records that they have.
func (d *decision) commit(t deploy.RefTransaction, indexes []int) {
	ctx := context.WithoutCancel(d.ctx)
	for _, i := range indexes {
		if err := d.recordMove(ctx, deploy.EventRefIntended, d.updates[i]); err != nil {
			_ = t.Abort()
			d.notMoved("recording that refs are about to move", err, indexes)
			return
		}
	}
	if err := t.Commit(ctx); err != nil {
		d.notMoved("moving refs", err, indexes)
		return
	}
	for _, i := range indexes {
		if err := d.recordMove(ctx, deploy.EventRefUpdated, d.updates[i]); err != nil {
			// It has moved, as the pusher is told, and its intent is in the log.
			d.session.server.logger.Error("recording a ref update", "app", d.app.Name, "ref", d.updates[i].Ref, "error", err)
		}
	}
}

func (d *decision) recordMove(ctx context.Context, is deploy.EventType, u deploy.RefUpdate) error {
	return d.session.server.config.Recorder.Record(ctx, deploy.Event{
		Type: is, Actor: d.session.caller.Pusher.Actor(), App: d.app.Name, Ref: u.Ref, Old: u.Old, New: u.New,
	})
}

// notMoved answers for refs that stay where they are because of a fault.
func (d *decision) notMoved(doing string, err error, indexes []int) {
	d.session.server.logger.Error(doing, "app", d.app.Name, "error", err)
	for _, i := range indexes {
		d.results[i].refused = internalError()
	}
}

// nothing is a transaction of no refs.
type nothing struct{}

func (nothing) Commit(context.Context) error { return nil }
func (nothing) Abort() error                 { return nil }
