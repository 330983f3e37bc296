package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"slipway/deploy"
)

// Projection is what is derived from the log: the database. A recorder calls Position and Project from one
// goroutine at a time, and Check from one.
type Projection interface {
	// Position tells the sequence and the ID of the event that was projected last; zero and "" if
	// there is none.
	Position(ctx context.Context) (sequence uint64, id string, err error)
	// Check tells, before e is recorded, whether it can be: that a user to be made does not exist, say.
	// head is the sequence of the last event recorded, which the projection may not have reached. Its
	// error refuses the event.
	Check(ctx context.Context, e deploy.Event, head uint64) error
	// Project takes in events, in order, all or none. Events it has had already it passes over. It
	// fails only for reasons that may go away, never because of what an event says.
	Project(ctx context.Context, events ...deploy.Event) error
}

// ErrDiverged says that a projection is not one of this log: it has had events that the log does not
// hold. Either lines of the log are gone, or the projection belongs to another.
var ErrDiverged = errors.New("the database has seen events that the audit log does not hold")

// batch is how many events are projected at once when catching up.
const batch = 500

// Recorder puts events in order: each is appended to the log, then projected, then handed to the feeds.
// It is safe for concurrent use.
type Recorder struct {
	log        *Log
	projection Projection
	logger     *slog.Logger
	turn       chan struct{} // held by whoever appends, or has the projection catch up
	behind     atomic.Bool   // the projection cannot have what is due
	feeds      feeds

	projecting sync.Mutex // held by whoever projects
	mu         sync.Mutex
	due        []deploy.Event // appended and not yet projected, in order
}

// NewRecorder makes a recorder. The projection counts as behind until [Recorder.CatchUp] or the first
// [Recorder.Record]. logger nil means slog.Default.
func NewRecorder(log *Log, projection Projection, logger *slog.Logger) *Recorder {
	if logger == nil {
		logger = slog.Default()
	}
	r := &Recorder{log: log, projection: projection, logger: logger, turn: make(chan struct{}, 1)}
	r.feeds = feeds{last: log.Head().Sequence, open: map[*Feed]struct{}{}}
	r.behind.Store(true)
	return r
}

// Record records the event and returns it as it stands in the log. An error means that it is not
// recorded: what it announces must not be done. Once it is in the log it stands: if projecting it
// fails, that is logged and done again later, and Record returns no error. When it returns, whoever asks
// the projection hears of the event, unless it only tells how far a deployment is: those follow in a moment,
// beside its work. ctx bounds the waiting for its turn, never the writing.
func (r *Recorder) Record(ctx context.Context, e deploy.Event) (deploy.Event, error) {
	if err := r.take(ctx); err != nil {
		return deploy.Event{}, fmt.Errorf("recording event %s: %w", e.Type, err)
	}
	defer r.give()
	beside := tellsProgress(e)
	if !beside {
		r.Wait()
	}
	if err := r.catchUp(context.WithoutCancel(ctx)); err != nil {
		r.logger.Error("the database is behind the audit log", "error", err)
	}
	if err := r.projection.Check(ctx, e, r.log.Head().Sequence); err != nil {
		return deploy.Event{}, fmt.Errorf("recording event %s: %w", e.Type, err)
	}
	recorded, err := r.append(ctx, e)
	if err != nil {
		return deploy.Event{}, err
	}
	r.handOn(recorded)
	if beside {
		go r.Wait()
	} else {
		r.Wait()
	}
	return recorded, nil
}

// tellsProgress tells whether an event only says how far a deployment is: nobody decides by what the
// projection makes of it while the deployment goes on.
func tellsProgress(e deploy.Event) bool {
	switch e.Type {
	case deploy.EventDeploymentStarted, deploy.EventStageStarted, deploy.EventStageFinished,
		deploy.EventSwitchIntended, deploy.EventSwitchDone:
		return true
	}
	return false
}

// append appends the event, and mends the log first if an earlier write broke it.
func (r *Recorder) append(ctx context.Context, e deploy.Event) (deploy.Event, error) {
	before := r.log.Head().Sequence
	if err := r.log.Repair(ctx); err != nil {
		return deploy.Event{}, fmt.Errorf("recording event %s: %w", e.Type, err)
	}
	if err := r.handOnRepair(before); err != nil {
		return deploy.Event{}, fmt.Errorf("recording event %s: %w", e.Type, err)
	}
	return r.log.Append(ctx, e)
}

// handOnRepair hands on what the log itself recorded after the given sequence.
func (r *Recorder) handOnRepair(after uint64) error {
	if r.log.Head().Sequence == after {
		return nil
	}
	for e, err := range r.log.Events(after + 1) {
		if err != nil {
			return err
		}
		r.handOn(e)
	}
	return nil
}

// handOn makes an event due. The caller has the turn, so they are due in order.
func (r *Recorder) handOn(e deploy.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = append(r.due, e)
}

// Wait returns when the projection has had what was recorded before, or failed to take it in.
func (r *Recorder) Wait() {
	r.projecting.Lock()
	defer r.projecting.Unlock()
	r.mu.Lock()
	due := r.due
	r.due = nil
	r.mu.Unlock()
	r.project(due)
	for _, e := range due {
		r.feeds.publish(e)
	}
}

// project projects what was due. While the projection is behind that would only be a gap; catching up
// brings it.
func (r *Recorder) project(due []deploy.Event) {
	if len(due) == 0 || r.behind.Load() {
		return
	}
	if err := r.projection.Project(context.Background(), due...); err != nil {
		r.behind.Store(true)
		r.logger.Error("the events are recorded, but the database could not take them in; trying again later",
			"sequence", due[0].Sequence, "type", due[0].Type, "events", len(due), "error", err)
	}
}

// CatchUp projects every event that the projection has not had. Call it at start, and before reading
// the projection: it costs nothing when there is nothing to do. [ErrDiverged] says that the projection
// knows events that are not in the log; then look, and then [Recorder.Rebuild].
func (r *Recorder) CatchUp(ctx context.Context) error {
	r.Wait()
	if !r.behind.Load() {
		return nil
	}
	if err := r.take(ctx); err != nil {
		return fmt.Errorf("bringing the database up to date: %w", err)
	}
	defer r.give()
	return r.catchUp(ctx)
}

// Run has the projection catch up soon after it fell behind, also when nothing is recorded. It returns
// nil when ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	again := time.NewTicker(retryInterval)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		if err := r.CatchUp(ctx); err != nil && ctx.Err() == nil {
			r.logger.Error("the database is behind the audit log", "error", err)
		}
	}
}

// retryInterval is how often Run looks.
const retryInterval = 2 * time.Second

// Rebuild has the projection made anew from the whole log by anew, which is given every event. Nothing
// is recorded meanwhile. If it fails the projection counts as behind.
func (r *Recorder) Rebuild(ctx context.Context, anew func(context.Context, iter.Seq2[deploy.Event, error]) error) error {
	if err := r.take(ctx); err != nil {
		return fmt.Errorf("rebuilding the database: %w", err)
	}
	defer r.give()
	r.behind.Store(true)
	r.Wait() // whoever projected before it was behind has ended
	if err := anew(ctx, r.log.Events(1)); err != nil {
		return fmt.Errorf("rebuilding the database: %w", err)
	}
	return r.catchUp(ctx)
}

// Behind tells whether the projection lacks events.
func (r *Recorder) Behind() bool { return r.behind.Load() }

// Head tells where the log ends.
func (r *Recorder) Head() Head { return r.log.Head() }

func (r *Recorder) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Recorder) give() { <-r.turn }

// catchUp is CatchUp for whoever has the turn.
func (r *Recorder) catchUp(ctx context.Context) error {
	if !r.behind.Load() {
		return nil
	}
	r.projecting.Lock()
	defer r.projecting.Unlock()
	if err := r.bringUp(ctx, r.projection); err != nil {
		return fmt.Errorf("bringing the database up to date: %w", err)
	}
	r.behind.Store(false)
	return nil
}

// bringUp projects what p has not had.
func (r *Recorder) bringUp(ctx context.Context, p Projection) error {
	position, id, err := p.Position(ctx)
	if err == nil {
		err = r.agree(position, id)
	}
	if err != nil {
		return err
	}
	return projectAll(ctx, p, r.log.Events(position+1))
}

// agree checks that the event projected last is the log's event of that sequence.
func (r *Recorder) agree(position uint64, id string) error {
	if position == 0 {
		return nil
	}
	if head := r.log.Head().Sequence; position > head {
		return fmt.Errorf("%w: it has had event %d, the log ends with event %d", ErrDiverged, position, head)
	}
	for e, err := range r.log.Events(position) {
		if err != nil {
			return err
		}
		if e.ID != id {
			return fmt.Errorf("%w: event %d has the ID %s there and %s in the log", ErrDiverged, position, id, e.ID)
		}
		break
	}
	return nil
}

func projectAll(ctx context.Context, p Projection, events iter.Seq2[deploy.Event, error]) error {
	some := make([]deploy.Event, 0, batch)
	for e, err := range events {
		if err != nil {
			return err
		}
		if some = append(some, e); len(some) < batch {
			continue
		}
		if err := p.Project(ctx, some...); err != nil {
			return err
		}
		some = some[:0]
	}
	if len(some) == 0 {
		return nil
	}
	return p.Project(ctx, some...)
}
