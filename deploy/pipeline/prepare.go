package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// candidate is a job that is ready to be switched to.
type candidate struct {
	job *deploy.Job
	deploy.Candidate
	engine Engine
	ref    deploy.RefTransaction // locked at its old value, ready to move
}

// prepare takes the deployment from its revision to a candidate that is ready. Nobody depends on any
// of it, so whatever fails is cleared away.
func (p *Pipeline) prepare(d *deployment) (*candidate, error) {
	c := &candidate{}
	if err := p.stagesBeforeSwitch(d, c); err != nil {
		p.unlockRef(d, c)
		p.afterReject(d, c.job, err)
		p.discard(d)
		return nil, err
	}
	return c, nil
}

func (p *Pipeline) stagesBeforeSwitch(d *deployment, c *candidate) error {
	job, err := p.checkout(d)
	if err != nil {
		return err
	}
	c.job, c.engine = job, p.engine(job.Manifest)
	if len(job.Manifest.Build.Commands) > 0 {
		err = d.stage(d.ctx, deploy.StageBuild, func(ctx context.Context, log io.Writer) error {
			return p.Builder.Build(ctx, job, log)
		})
		if err != nil {
			return err
		}
	}
	if err := p.test(d, job); err != nil {
		return err
	}
	if err := p.hook(d.ctx, d, job, "before_deploy", job.Manifest.Hooks.BeforeDeploy); err != nil {
		return err
	}
	return d.stage(d.ctx, deploy.StageRelease, func(ctx context.Context, log io.Writer) error {
		return p.release(ctx, d, c, log)
	})
}

// release starts the candidate, and locks the ref beside that: once the candidate is ready, its first
// visitors wait for nothing that could have been done before.
func (p *Pipeline) release(ctx context.Context, d *deployment, c *candidate, log io.Writer) (err error) {
	locked := make(chan error, 1)
	go func() { locked <- p.lockRef(ctx, d, c) }()
	c.Candidate, err = c.engine.Start(ctx, c.job, log)
	if failed := <-locked; err == nil {
		err = failed
	}
	if err != nil {
		p.unlockRef(d, c)
	}
	return err
}

// lockRef makes sure that nobody else moves the deployment's ref, which is what it was when it began.
func (p *Pipeline) lockRef(ctx context.Context, d *deployment, c *candidate) error {
	ref, err := p.Refs.Prepare(ctx, d.App, deploy.RefUpdate{Ref: d.Ref, Old: d.Old, New: d.New})
	if err == nil {
		c.ref = ref
	}
	return err
}

// unlockRef lets go of a ref that has not been moved.
func (p *Pipeline) unlockRef(d *deployment, c *candidate) {
	if c.ref == nil {
		return
	}
	if err := c.ref.Abort(); err != nil {
		p.Logger.Error("letting a ref be", "deployment", d.Number, "ref", d.Ref, "error", err)
	}
	c.ref = nil
}

// afterReject runs the hook for a revision that was rejected, while its tree is still there. It is not
// for a push that was canceled or that failed through a fault.
func (p *Pipeline) afterReject(d *deployment, job *deploy.Job, err error) {
	if outcomeOf(err) != deploy.OutcomeFail || job == nil {
		return
	}
	d.Status, d.Reason = deploy.StatusRejected, reasonOf(err)
	if err := p.hook(context.WithoutCancel(d.ctx), d, job, "after_reject", job.Manifest.Hooks.AfterReject); err != nil {
		d.term.note("the hook after_reject failed: " + reasonOf(err))
	}
}

// checkout writes the revision's tree and reads its manifest.
func (p *Pipeline) checkout(d *deployment) (*deploy.Job, error) {
	job := &deploy.Job{
		Number: d.Number, App: d.app, Revision: d.New, Commit: d.Commit, Pusher: d.Pusher,
		Tree: p.Layout.Work(d.App, d.Number),
	}
	var notes []string
	err := d.stage(d.ctx, deploy.StageCheckout, func(ctx context.Context, log io.Writer) error {
		kept := make(chan error, 1)
		go func() { kept <- p.Refs.Keep(ctx, d.App, d.Number, d.New) }()
		var err error
		notes, err = p.fillTree(ctx, d, job, log) // takes longer
		return cmp.Or(err, <-kept)
	})
	if err != nil {
		return nil, err
	}
	for _, note := range notes {
		d.term.note(plain(note))
	}
	if job.Manifest.Detected {
		d.term.detected(p.Format(job.Manifest))
	}
	return job, nil
}

// fillTree checks the revision out, and reads its manifest.
func (p *Pipeline) fillTree(ctx context.Context, d *deployment, job *deploy.Job, log io.Writer) (notes []string, err error) {
	if notes, err = p.Trees.Checkout(ctx, job); err != nil {
		return nil, err
	}
	for _, note := range notes {
		fmt.Fprintln(log, note)
	}
	m, err := p.Builder.Read(ctx, job.Tree)
	if err != nil {
		return nil, err
	}
	job.Manifest = m
	return notes, p.keepManifest(d, m, log)
}

// ManifestFile is the name, under deployments/N/, of the manifest that was in force.
const ManifestFile = "slipway.toml"

// keepManifest puts it on disk: after a power cut it says where the release runs.
func (p *Pipeline) keepManifest(d *deployment, m *deploy.Manifest, log io.Writer) error {
	fmt.Fprintf(log, "%s of %s checked out\n", d.New, d.App)
	folder := p.Layout.Deployment(d.Number)
	if err := durable.Write(filepath.Join(folder, ManifestFile), p.Format(m)); err != nil {
		return err
	}
	return durable.Sync(folder)
}

// discard clears away what a deployment that will not be switched has made.
func (p *Pipeline) discard(d *deployment) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), p.UndoTimeout)
	defer cancel()
	if err := p.clear(ctx, &d.Deployment); err != nil {
		p.Logger.Error("clearing away a deployment", "deployment", d.Number, "error", err)
	}
}

// clear ends all processes of a deployment that does not serve and removes its trees.
func (p *Pipeline) clear(ctx context.Context, d *deploy.Deployment) error {
	if err := p.Runner.End(ctx, d.Number); err != nil {
		return fmt.Errorf("ending its steps: %w", err)
	}
	if rollsBack(d) {
		return p.letGo(ctx, d.Target(), d.Release())
	}
	if err := p.Local.Stop(ctx, d.Target(), d.Release(), 0); err != nil {
		return fmt.Errorf("ending its instances: %w", err)
	}
	if err := os.RemoveAll(p.Layout.Work(d.App, d.Number)); err != nil {
		return fmt.Errorf("removing its tree: %w", err)
	}
	return p.Releases.Remove(d.App, d.Number)
}

// letGo ends a release that a roll back did not put into production after all. The release is older than
// the roll back and stays; and its instances do, if it serves anyway or has been left with the traffic.
func (p *Pipeline) letGo(ctx context.Context, t deploy.Target, n deploy.Number) error {
	state, err := p.Records.TargetState(ctx, t)
	if err != nil {
		return fmt.Errorf("reading the target's state: %w", err)
	}
	serving, err := p.Local.Serving(ctx, t)
	if err != nil {
		return fmt.Errorf("asking what serves: %w", err)
	}
	if n == state.Serving || n == serving {
		return nil
	}
	if err := p.Local.Stop(ctx, t, n, 0); err != nil {
		return fmt.Errorf("ending its instances: %w", err)
	}
	return nil
}

// hook runs one of the manifest's hooks, if it has it.
func (p *Pipeline) hook(ctx context.Context, d *deployment, job *deploy.Job, name string, step deploy.Step) error {
	if len(step.Commands) == 0 {
		return nil
	}
	shown := deploy.StageName("hook." + name)
	vars := map[string]string{"SLIPWAY_HOOK": name, "SLIPWAY_OUTCOME": string(d.Status), "SLIPWAY_REASON": d.Reason}
	err := d.stage(ctx, shown, func(ctx context.Context, log io.Writer) error {
		return p.Runner.Run(ctx, job, name, step, vars, log)
	})
	event := deploy.Event{Type: deploy.EventHookRan, Stage: shown, Outcome: outcomeOf(err)}.WithData(deploy.HookData{Hook: name})
	if rec := d.record(ctx, event); rec != nil && err == nil {
		return rec
	}
	return err
}
