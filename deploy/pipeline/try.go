package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"slipway/deploy"
)

// try switches production to the candidate, watches it, and accepts it. Every way out either has
// moved the ref or has put everything back. ctx is not the pusher's: who leaves now changes nothing.
func (p *Pipeline) try(ctx context.Context, d *deployment, c *candidate) error {
	defer p.unlockRef(d, c)
	if err := p.switchTo(ctx, d, c); err != nil {
		return p.putBack(ctx, d, c, err)
	}
	if err := p.watch(ctx, d, c); err != nil {
		return p.putBack(ctx, d, c, err)
	}
	if err := p.confirm(ctx, d, c); err != nil {
		return p.putBack(ctx, d, c, err)
	}
	accepted := deploy.Event{Type: deploy.EventAccepted}.WithData(d.move())
	if err := d.record(ctx, accepted); err != nil {
		return p.putBack(ctx, d, c, err)
	}
	if err := p.moveRef(ctx, d, c.ref); err != nil {
		return err
	}
	p.settleIn(ctx, d, c)
	return nil
}

// move says from which release to which the deployment's switch goes.
func (d *deployment) move() deploy.SwitchData {
	return deploy.SwitchData{From: d.Previous, To: d.Release()}
}

// switchTo sends the target's traffic to the candidate: intent, effect, result.
func (p *Pipeline) switchTo(ctx context.Context, d *deployment, c *candidate) error {
	return d.stage(ctx, deploy.StageSwitch, func(ctx context.Context, log io.Writer) error {
		move := d.move()
		if err := d.record(ctx, deploy.Event{Type: deploy.EventSwitchIntended, Stage: deploy.StageSwitch}.WithData(move)); err != nil {
			return err
		}
		d.SwitchedAt = time.Now().UTC()
		d.inForce.Store(true)
		fmt.Fprintf(log, "traffic of %s from release %d to release %d\n", d.Target(), move.From, move.To)
		if err := c.engine.Switch(ctx, d.Target(), move.From, move.To); err != nil {
			return err
		}
		return d.record(ctx, deploy.Event{Type: deploy.EventSwitchDone, Stage: deploy.StageSwitch}.WithData(move))
	})
}

// confirm looks once more, right before the commit point, whether traffic really goes to the candidate.
func (p *Pipeline) confirm(ctx context.Context, d *deployment, c *candidate) error {
	serving, err := c.engine.Serving(ctx, d.Target())
	if err != nil {
		return fmt.Errorf("asking what serves: %w", err)
	}
	if serving != d.Release() {
		return fmt.Errorf("release %d serves at the end of the watch of release %d", serving, d.Release())
	}
	return nil
}

// MeasurementsFile is the name, under deployments/N/, of the watch's measurements, one JSON a line.
const MeasurementsFile = "monitor.jsonl"

// watch watches the candidate for its bake time. In a bypass a failed check is only recorded.
func (p *Pipeline) watch(ctx context.Context, d *deployment, c *candidate) error {
	return d.stageWith(ctx, deploy.StageMonitor, func(ctx context.Context, log io.Writer, data *deploy.StageData) error {
		file, err := d.openFile(MeasurementsFile)
		if err != nil {
			return fmt.Errorf("making the measurements' file: %w", err)
		}
		defer file.Close()
		defer func() { data.Files = []deploy.LeftFile{file.left()} }()
		out := json.NewEncoder(file)
		var lost error
		if c.Instances == nil && !c.job.Manifest.External() {
			// A roll back's instances were started by its switch.
			if c.Instances, err = p.Instances.Instances(ctx, d.Target(), c.Release.Number); err != nil {
				return fmt.Errorf("listing the instances of release %d: %w", c.Release.Number, err)
			}
		}
		result, err := p.Watcher.Watch(ctx, c.Candidate, c.job.Manifest, d.Bypass == nil, func(m deploy.Measurement) {
			if err := out.Encode(m); err != nil {
				lost = err
			}
		})
		data.Checks = result.Checks
		for _, check := range result.Checks {
			fmt.Fprintf(log, "%-16s %-12s %s\n", check.Outcome, check.Name, check.Detail)
		}
		switch {
		case err != nil:
			return fmt.Errorf("watching: %w", err)
		case lost != nil:
			return fmt.Errorf("writing measurements: %w", lost)
		case !result.Pass && d.Bypass != nil:
			d.term.note("the watch would have rejected this: " + result.Reason)
		case !result.Pass:
			r := deploy.Reject(deploy.CodeMonitor, "%s", result.Reason)
			r.Tail = result.Tail
			r.Line = "monitor failed"
			return r
		}
		return nil
	})
}

// moveRef makes the accepted revision the ref's value. Whatever happens now, it stays accepted: if
// the ref cannot be written the target is frozen and the next start of the server writes it.
func (p *Pipeline) moveRef(ctx context.Context, d *deployment, tx deploy.RefTransaction) error {
	d.Status = deploy.StatusAccepted
	if err := tx.Commit(ctx); err != nil {
		p.freeze(ctx, d.Target(), fmt.Sprintf("deployment %d is accepted and serves, but its ref could not be written", d.Number))
		return &refPending{number: d.Number, err: err}
	}
	if err := d.record(ctx, deploy.Event{Type: deploy.EventRefMoved}); err != nil {
		// The ref says so itself; the next start records it.
		p.Logger.Error("recording a ref's move", "deployment", d.Number, "error", err)
	}
	d.RefMoved = true
	p.queue.poke(d.Target())
	return nil
}

// refPending is the fault of an accepted deployment whose ref is still old.
type refPending struct {
	number deploy.Number
	err    error
}

func (r *refPending) Error() string {
	return fmt.Sprintf("deployment %d is accepted but its ref could not be written: %v", r.number, r.err)
}

func (r *refPending) Unwrap() error { return r.err }

// settleIn does what follows an acceptance: none of it can change the verdict.
func (p *Pipeline) settleIn(ctx context.Context, d *deployment, c *candidate) {
	if err := p.Releases.MarkCurrent(d.App, d.Release()); err != nil {
		p.Logger.Error("marking the current release", "deployment", d.Number, "error", err)
	}
	p.retire(ctx, d, c)
	if err := p.hook(ctx, d, c.job, "after_accept", c.job.Manifest.Hooks.AfterAccept); err != nil {
		d.term.note("the hook after_accept failed; the deployment stands: " + reasonOf(err))
	}
	p.prune(ctx, d, c.job.Manifest.Deploy.KeepReleases)
}
