package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"slipway/deploy"
)

// deployment is a deployment in work. Its embedded row is what was recorded of it so far; only the
// goroutine that admits it changes it.
type deployment struct {
	deploy.Deployment
	p       *Pipeline
	app     deploy.App
	offer   deploy.Offer
	ticket  *ticket
	leave   func() // makes it unfindable; from then on, what is unfinished of it is the next one's to settle
	term    *terminal
	serving deploy.OID // what production served when its turn came

	// inForce says that traffic goes to the candidate though the records do not say so yet.
	inForce atomic.Bool

	pusher context.Context // ends with the pusher's connection
	ctx    context.Context // ends when it is canceled; its cause says by what
	end    context.CancelCauseFunc
	mu     sync.Mutex
	closed bool // against canceling: it has been switched, or was canceled already
}

// canceledBy is the cause of a context that a person ended.
type canceledBy struct {
	who    deploy.Actor
	reason string
}

func (c *canceledBy) Error() string {
	if c.reason == "" {
		return "by " + c.who.Name
	}
	return "by " + c.who.Name + ": " + c.reason
}

// errPusherLeft is the cause of a deployment whose pusher went away.
var errPusherLeft = errors.New("the pusher went away")

// newDeployment describes a deployment; there is nothing of it on disk yet.
func newDeployment(ctx context.Context, p *Pipeline, o deploy.Offer, app deploy.App, n deploy.Number, t terms) *deployment {
	d := &deployment{p: p, app: app, offer: o}
	d.Deployment = deploy.Deployment{
		Number: n, App: o.App, Environment: deploy.Production, Ref: o.Update.Ref, Old: t.old, New: o.Update.New,
		Commit: o.Commit, Pusher: o.Pusher, Bypass: t.bypass, Again: o.Again, Status: deploy.StatusQueued, QueuedAt: time.Now().UTC(),
	}
	d.ticket = &ticket{number: n, target: d.Target(), user: o.Pusher.User}
	d.ctx, d.end = context.WithCancelCause(context.WithoutCancel(ctx))
	d.pusher = ctx
	context.AfterFunc(ctx, d.pusherGone)
	return d
}

// makeFolder makes the deployment's folder, and in it the transcript of what the pusher reads. The
// housekeeping takes away the folder of a deployment that has no record and is not in flight, so this one
// must be in flight by then.
func (d *deployment) makeFolder(progress io.Writer, verbose bool) error {
	dir := d.p.Layout.Deployment(d.Number)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("making the deployment's folder: %w", err)
	}
	transcript, err := os.OpenFile(filepath.Join(dir, TranscriptFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making the transcript: %w", err)
	}
	d.term = newTerminal(&tee{file: transcript, pusher: progress}, verbose)
	return nil
}

// TranscriptFile is the name, under deployments/N/, of what the pusher read.
const TranscriptFile = "transcript.log"

// tee writes to the transcript and to the pusher, who may have gone.
type tee struct {
	file   *os.File
	pusher io.Writer
}

func (t *tee) Write(b []byte) (int, error) {
	_, _ = t.pusher.Write(b)
	return t.file.Write(b)
}

func (t *tee) Close() error { return t.file.Close() }

// pusherGone ends the deployment because its pusher's context has ended.
func (d *deployment) pusherGone() {
	if errors.Is(context.Cause(d.pusher), deploy.ErrShutdown) {
		d.end(deploy.ErrShutdown)
	}
	d.end(errPusherLeft)
}

func (d *deployment) close() {
	d.end(nil)
	if d.term != nil {
		d.term.Close()
	}
}

// forget takes back everything of a deployment that could not be recorded: nobody knows of it.
func (d *deployment) forget() {
	d.close()
	_ = os.RemoveAll(d.p.Layout.Deployment(d.Number))
	d.leave()
}

// cancel ends the deployment unless it is too late, which it tells by false.
func (d *deployment) cancel(cause error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.closed = true
	d.end(cause)
	return true
}

// because returns what ended the deployment before its switch: that it was canceled, where that is why
// err happened.
func (d *deployment) because(err error) error {
	if _, rejected := deploy.AsRejection(err); err == nil || rejected || d.ctx.Err() == nil {
		return err
	}
	return context.Cause(d.ctx)
}

// commitToSwitch closes the deployment against canceling. It tells by false that it was canceled.
func (d *deployment) commitToSwitch() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pusher.Err() != nil {
		d.pusherGone()
	}
	if d.closed || d.ctx.Err() != nil {
		return false
	}
	d.closed = true
	return true
}

// record writes an event of this deployment.
func (d *deployment) record(ctx context.Context, e deploy.Event) error {
	if _, err := d.p.Recorder.Record(ctx, d.event(e)); err != nil {
		return fmt.Errorf("recording %s: %w", e.Type, err)
	}
	return nil
}

// recordDone records what has been done and cannot be left undone: now, or as soon as possible.
func (d *deployment) recordDone(ctx context.Context, e deploy.Event) error {
	return d.p.recordDone(ctx, d.event(e))
}

// event says of whom and what an event of this deployment is.
func (d *deployment) event(e deploy.Event) deploy.Event {
	if e.Actor == (deploy.Actor{}) {
		e.Actor = d.Pusher.Actor()
	}
	e.App, e.Environment, e.Ref, e.Deployment = d.App, d.Environment, d.Ref, d.Number
	if e.New == "" {
		e.Old, e.New = d.Old, d.New
	}
	return e
}
