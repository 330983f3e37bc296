package pipeline

import (
	"context"
	"errors"
	"io"
	"slices"

	"slipway/deploy"
)

// errOtherSet ends the sets that still run when one has failed.
var errOtherSet = errors.New("another test set failed")

// test runs every test set of the manifest, side by side where their needs allow. The first failure
// ends the others and is returned.
func (p *Pipeline) test(d *deployment, job *deploy.Job) error {
	sets := job.Manifest.Tests
	if d.Bypass != nil {
		d.term.bypass(*d.Bypass, len(sets))
		return nil
	}
	if len(sets) == 0 {
		d.term.noTests()
		return nil
	}
	ctx, stop := context.WithCancelCause(d.ctx)
	defer stop(nil)
	ended := make(chan finished)
	var passed []string
	var first error
	for running := 0; ; {
		for first == nil && running < p.Parallel {
			i := slices.IndexFunc(sets, func(s deploy.TestSet) bool { return ready(s, passed) })
			if i < 0 {
				break
			}
			set := sets[i]
			sets = slices.Delete(slices.Clone(sets), i, i+1)
			running++
			go func() { ended <- finished{set.Name, p.testSet(ctx, d, job, set)} }()
		}
		if running == 0 {
			return first
		}
		f := <-ended
		running--
		switch {
		case f.err == nil:
			passed = append(passed, f.set)
		case first == nil:
			first = f.err
			stop(errOtherSet)
		}
	}
}

type finished struct {
	set string
	err error
}

// ready tells whether all that a set needs has passed. The manifest has no cycles.
func ready(s deploy.TestSet, passed []string) bool {
	return !slices.ContainsFunc(s.Needs, func(need string) bool { return !slices.Contains(passed, need) })
}

func (p *Pipeline) testSet(ctx context.Context, d *deployment, job *deploy.Job, set deploy.TestSet) error {
	return d.stage(ctx, deploy.TestStage(set.Name), func(ctx context.Context, log io.Writer) error {
		return p.Builder.Test(ctx, job, set, log)
	})
}
