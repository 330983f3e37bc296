package release

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"slipway/deploy"
	"slipway/deploy/keeper"
)

// answerTime is how long an instance that was ready may take to answer again after the switch.
const answerTime = 5 * time.Second

// Switch sends the target's traffic to release to, and returns when the router has it and the release
// answers. Instances of it that do not run are started and become ready first, so it also goes back to
// a release that was stopped long ago. A newer release that runs was found ready a moment ago by [Local.Start],
// and gets its visitors at once. To 0 nothing serves.
//
// If it fails before the router was asked, traffic is where it was; afterwards Serving tells where it is.
// Going back (to is older than from) to a release that still runs, the router is asked in any case: what
// served before is better than what is being given up, even where it does not answer as it should.
func (e *Local) Switch(ctx context.Context, t deploy.Target, from, to deploy.Number) error {
	e.config.Logger.Info("switching", "target", t.String(), "from", from.String(), "to", to.String())
	if to == 0 {
		return e.route(ctx, t, 0, nil)
	}
	f, err := e.find(ctx, t, to)
	if err != nil {
		return err
	}
	var unready error
	if to < from || len(f.down) > 0 {
		unready = e.ensure(ctx, to, f)
	}
	if unready != nil && (ctx.Err() != nil || to > from || len(f.down) > 0) {
		return unready
	}
	if err := e.route(ctx, t, to, instancesOf(f.specs)); err != nil || unready != nil {
		return errors.Join(unready, err)
	}
	return errors.Join(e.answers(ctx, f.specs), e.retire(ctx, t, to, f.surplus))
}

// Restore brings release n of the target back after a reboot or a crash, and routes to it even where
// it is not ready: its keeper goes on starting it, and it serves as soon as it can. The error says what
// is not as it should be.
func (e *Local) Restore(ctx context.Context, t deploy.Target, n deploy.Number) error {
	if n == 0 {
		return e.route(ctx, t, 0, nil)
	}
	f, err := e.find(ctx, t, n)
	if err != nil {
		return err
	}
	unready := e.ensure(ctx, n, f)
	if ctx.Err() != nil {
		return unready
	}
	return errors.Join(unready, e.route(ctx, t, n, instancesOf(f.specs)), e.retire(ctx, t, n, f.surplus))
}

// Unkept tells whether release n lacks the instance of one of its processes, or an instance its keeper.
// A keeper is there while it waits to start its process again.
func (e *Local) Unkept(ctx context.Context, t deploy.Target, n deploy.Number) (bool, error) {
	p, err := e.plan(t.App, n)
	if err != nil || p.Job.Manifest.External() {
		return false, err
	}
	all, err := e.specs(t.App, n)
	if err != nil {
		return false, err
	}
	for _, process := range p.Job.Manifest.Processes {
		s, _ := choose(all, process.Name)
		if s == nil {
			return true, nil
		}
		c, err := keeper.Connect(s.folder)
		if errors.Is(err, keeper.ErrGone) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if _, err := c.Status(ctx); errors.Is(err, keeper.ErrGone) {
			return true, nil
		}
	}
	return false, nil
}

// fleet is the instances that a release should have, one of each process, and what else there is.
type fleet struct {
	specs   []*spec
	down    []*spec // those of specs that nothing runs of
	surplus []*spec // left by a restart that did not end
}

// find looks for the instances of a release, and prepares those that are missing.
func (e *Local) find(ctx context.Context, t deploy.Target, n deploy.Number) (fleet, error) {
	p, err := e.plan(t.App, n)
	if err != nil {
		return fleet{}, err
	}
	if err := e.makeStorage(p.Job.App); err != nil {
		return fleet{}, err
	}
	all, err := e.specs(t.App, n)
	if err != nil {
		return fleet{}, err
	}
	var f fleet
	for _, process := range p.Job.Manifest.Processes {
		s, surplus := choose(all, process.Name)
		if s == nil {
			vars, err := e.config.Variables.Read(ctx, t.App)
			if err != nil {
				return fleet{}, err
			}
			if s, err = e.prepare(p, process, 1, vars); err != nil {
				return fleet{}, err
			}
		}
		if err := e.revive(ctx, s); err != nil {
			return fleet{}, err
		}
		if s.Trial {
			f.down = append(f.down, s)
		}
		f.specs, f.surplus = append(f.specs, s), append(f.surplus, surplus...)
	}
	return f, nil
}

// choose picks the instance of a process: the newest of those that were kept, or else the newest.
func choose(all []*spec, process string) (s *spec, surplus []*spec) {
	for _, next := range all { // by their index
		switch {
		case next.Instance.Process != process:
		case s == nil:
			s = next
		case next.Trial && !s.Trial:
			surplus = append(surplus, next)
		default:
			s, surplus = next, append(surplus, s)
		}
	}
	return s, surplus
}

// retire ends instances that get no requests any more.
func (e *Local) retire(ctx context.Context, t deploy.Target, n deploy.Number, surplus []*spec) error {
	if len(surplus) == 0 {
		return nil
	}
	if err := e.config.Router.Drain(ctx, t.App, n, e.config.Grace); err != nil {
		e.config.Logger.Warn("ending instances that were not drained", "target", t.String(), "release", n.String(), "err", err)
	}
	var folders []folder
	for _, s := range surplus {
		folders = append(folders, folder{path: s.folder, name: filepath.Base(s.folder), release: n})
	}
	return e.endFolders(ctx, t.App, folders, e.config.Grace)
}

// ensure starts the instances that are down and returns when all of a release are ready. If one of them
// fails, all are kept: what has served once is not given up.
func (e *Local) ensure(ctx context.Context, n deploy.Number, f fleet) error {
	who := "release " + n.String()
	if err := e.startAll(ctx, f.down, who); err != nil {
		for _, s := range f.down {
			err = errors.Join(err, e.keep(context.WithoutCancel(ctx), s))
		}
		return err
	}
	for _, s := range f.specs {
		if s.Port == 0 {
			continue
		}
		if err := e.awaitKept(ctx, s, who); err != nil {
			return err
		}
	}
	return nil
}

// awaitKept is awaitReady for an instance that is started again when it ends. If it ends just now, as
// one does that is killed, that is not held against what served well until then: the next one counts.
func (e *Local) awaitKept(ctx context.Context, s *spec, who string) error {
	before := e.child(ctx, s)
	err := e.awaitReady(ctx, s, who)
	if now := e.child(ctx, s); err == nil || ctx.Err() != nil || now == before && now != (keeper.Identity{}) {
		return err
	}
	if err := e.revive(ctx, s); err != nil {
		return err
	}
	if !s.Trial {
		return e.awaitReady(ctx, s, who)
	}
	err = e.startAll(ctx, []*spec{s}, who)
	if err != nil {
		err = errors.Join(err, e.keep(context.WithoutCancel(ctx), s))
	}
	return err
}

// child tells which process an instance is now; none is the zero value.
func (e *Local) child(ctx context.Context, s *spec) keeper.Identity {
	c, err := keeper.Connect(s.folder)
	if err != nil {
		return keeper.Identity{}
	}
	status, err := c.Status(ctx)
	if err != nil || !status.Running {
		return keeper.Identity{}
	}
	return status.Child
}

// revive looks whether an instance runs and is kept. If not, what is left of it is ended, and s is on
// trial, with a port that nobody else has.
func (e *Local) revive(ctx context.Context, s *spec) error {
	c, err := keeper.Connect(s.folder)
	if err == nil {
		status, e := c.Status(ctx)
		if e == nil && status.Running && !status.Stopping {
			s.Trial = status.Trial
			if !s.Trial {
				return nil
			}
		}
	}
	hold, err := e.halt(ctx, s.folder, s.Sandbox.Name, 0)
	if err != nil {
		return err
	}
	hold.Close()
	s.Trial = true
	if s.Port == 0 {
		return nil
	}
	owner, _, err := whoListens(s.Port, none)
	if err != nil || owner == nobody {
		return err
	}
	return s.choosePort()
}

// route tells the router, and makes sure that it does what it was told.
func (e *Local) route(ctx context.Context, t deploy.Target, n deploy.Number, instances []deploy.Instance) error {
	to := withTraffic(instances)
	if err := e.config.Router.Route(ctx, t.App, n, to); err != nil {
		return fmt.Errorf("routing %s to release %s: %w", t, n, err)
	}
	routed, err := e.config.Router.Routed(ctx, t.App)
	if err != nil {
		return fmt.Errorf("asking where %s is routed: %w", t, err)
	}
	if len(to) == 0 {
		if routed != 0 && routed != n {
			return fmt.Errorf("taking the traffic of %s away: the router says that it routes to %s", t, routed)
		}
		return e.setQuietly(t.App, n)
	}
	if routed != n {
		return fmt.Errorf("routing %s to release %s: the router says that it routes to %s", t, n, routed)
	}
	return e.setQuietly(t.App, 0)
}

// answers makes sure that what gets the traffic now still answers. That its first visitors brought it
// down is the revision's doing: a rejection.
func (e *Local) answers(ctx context.Context, specs []*spec) error {
	timed, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for _, s := range specs {
		if s.Port == 0 {
			continue
		}
		why := e.probe(timed, s)
		if why == nil {
			continue
		}
		if ctx.Err() != nil {
			return fmt.Errorf("looking whether process %s answers: %w", s.Instance.Process, context.Cause(ctx))
		}
		r := deploy.Reject(deploy.CodeSwitch, "process %s does not answer after the switch: %v", s.Instance.Process, why)
		r.Line = "switch failed"
		return r
	}
	return nil
}
