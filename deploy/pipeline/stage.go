package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"slipway/deploy"
)

// stage runs one stage: recorded before and after, shown to the pusher, its output kept in a log file
// of its own whose size and hash are recorded.
func (d *deployment) stage(ctx context.Context, name deploy.StageName, work func(context.Context, io.Writer) error) error {
	return d.stageWith(ctx, name, func(ctx context.Context, log io.Writer, _ *deploy.StageData) error {
		return work(ctx, log)
	})
}

// stageWith is stage for work that has more to say in the record of its end.
func (d *deployment) stageWith(ctx context.Context, name deploy.StageName, work func(context.Context, io.Writer, *deploy.StageData) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := d.record(ctx, deploy.Event{Type: deploy.EventStageStarted, Stage: name}); err != nil {
		return err
	}
	log, err := d.openLog(name)
	if err != nil {
		return err
	}
	defer log.Close()
	d.p.queue.enterStage(d.ticket, name)
	shown := d.term.begin(name)
	began := time.Now()
	var data deploy.StageData
	err = d.p.blameDisk(work(ctx, shown.output(log), &data))
	if d.SwitchedAt.IsZero() && technical(err) && ctx.Err() == nil {
		d.again(name, log, err)
		err = d.p.blameDisk(work(ctx, shown.output(log), &data))
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	shown.end(outcomeOf(err), time.Since(began))
	return d.endStage(ctx, name, log, data, err)
}

// technical tells whether a stage failed for reasons outside the revision: our own fault, or a service
// or host that did not answer. Before the switch such a stage is tried once more.
func technical(err error) bool {
	if r, ok := deploy.AsRejection(err); ok {
		return r.Code == deploy.CodeTechnical
	}
	return err != nil && !isCanceled(err)
}

// again says that a stage is tried once more. A fault's text is for the server's log only.
func (d *deployment) again(name deploy.StageName, log io.Writer, err error) {
	d.p.Logger.Warn("trying a stage once more", "deployment", d.Number, "stage", name, "error", err)
	fmt.Fprintf(log, "\n[technical failure: %s; trying once more]\n", reasonOf(err))
	d.term.note(display(name) + ": technical failure, trying once more")
}

// endStage records how a stage ended. The stage's own error goes before the record's.
func (d *deployment) endStage(ctx context.Context, name deploy.StageName, log *stageLog, data deploy.StageData, err error) error {
	left := log.left()
	data.Log, data.Size, data.SHA256 = left.Name, left.Size, left.SHA256
	event := deploy.Event{Type: deploy.EventStageFinished, Stage: name, Outcome: outcomeOf(err), Reason: reasonOf(err)}
	rec := d.record(context.WithoutCancel(ctx), event.WithData(data))
	if err != nil {
		d.failed(name)
		if rec != nil {
			d.p.Logger.Error("recording a stage's end", "deployment", d.Number, "stage", name, "error", rec)
		}
		return err
	}
	return rec
}

// failed remembers the first stage that failed; test sets side by side may end at the same time.
func (d *deployment) failed(name deploy.StageName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.FailedStage == "" {
		d.FailedStage = name
	}
}

// stageLog is a file that a stage leaves, its log or another, hashed as it is written.
type stageLog struct {
	*os.File
	name string
	size int64
	hash hash.Hash
}

func (d *deployment) openLog(name deploy.StageName) (*stageLog, error) {
	f, err := d.openFile(string(name) + ".log")
	if err != nil {
		return nil, fmt.Errorf("making the log of stage %s: %w", name, err)
	}
	return f, nil
}

func (d *deployment) openFile(name string) (*stageLog, error) {
	f, err := os.OpenFile(filepath.Join(d.p.Layout.Deployment(d.Number), name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &stageLog{File: f, name: name, hash: sha256.New()}, nil
}

func (l *stageLog) left() deploy.LeftFile {
	return deploy.LeftFile{Name: l.name, Size: l.size, SHA256: hex.EncodeToString(l.hash.Sum(nil))}
}

func (l *stageLog) Write(b []byte) (int, error) {
	n, err := l.File.Write(b)
	l.size += int64(n)
	l.hash.Write(b[:n])
	return n, err
}

// outcomeOf sorts a stage's error: none, the revision's, the pusher's leaving, or ours.
func outcomeOf(err error) deploy.Outcome {
	if err == nil {
		return deploy.OutcomePass
	}
	if r, ok := deploy.AsRejection(err); ok {
		if r.Code == deploy.CodeTechnical {
			return deploy.OutcomeFault
		}
		return deploy.OutcomeFail
	}
	if isCanceled(err) {
		return deploy.OutcomeCanceled
	}
	return deploy.OutcomeFault
}

func isCanceled(err error) bool {
	_, byPerson := errors.AsType[*canceledBy](err)
	return byPerson || errors.Is(err, errPusherLeft) || errors.Is(err, deploy.ErrShutdown) || errors.Is(err, errOtherSet)
}

// reasonOf is what history says of an error; a fault's text stays in the server's log.
func reasonOf(err error) string {
	if r, ok := deploy.AsRejection(err); ok {
		return r.Bounded().Message
	}
	if err != nil && isCanceled(err) {
		return canceledReason(err)
	}
	if err != nil {
		return "internal error"
	}
	return ""
}
