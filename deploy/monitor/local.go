package monitor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"slipway/deploy"
)

// local sees an instance on this machine.
type local struct {
	monitor  *Monitor
	instance deploy.Instance
	name     string
	prober   *prober // nil for a process without traffic
	log      follower

	hasCounts bool
	before    deploy.TrafficCounts // at the last look
	traffic   deploy.TrafficCounts // since the watch began
	hasCPU    bool
	cpuBefore time.Duration
	cpu       time.Duration
}

func newLocal(m *Monitor, s Subject, i deploy.Instance, name string) *local {
	e := &local{monitor: m, instance: i, name: name}
	if i.Addr != "" {
		e.prober = newProber(m.probes, i.Addr, s.Manifest.Health.Path)
	}
	return e
}

func (e *local) close() { e.log.close() }

func (e *local) see(ctx context.Context, final bool) sight {
	ctx, cancel := context.WithTimeout(ctx, e.monitor.config.ProbeTimeout)
	defer cancel()
	s := sight{name: e.name, instance: e.instance}
	var p probe
	var probing sync.WaitGroup
	if e.prober != nil {
		probing.Go(func() { p = e.prober.probe(ctx) })
	}
	e.inspect(ctx, &s, final)
	if e.instance.Addr != "" {
		e.count(ctx, &s)
	}
	probing.Wait()
	s.probe, s.probed = p, e.prober != nil
	return s
}

// inspect asks for the state of the processes and reads what they have logged.
func (e *local) inspect(ctx context.Context, s *sight, final bool) {
	state, err := e.monitor.config.Instances.Inspect(ctx, e.instance)
	if err != nil {
		s.err = fmt.Errorf("inspecting it: %w", err)
		return
	}
	s.inspected, s.state = true, state
	if e.hasCPU {
		e.cpu += spent(state.CPU, e.cpuBefore)
	}
	e.hasCPU, e.cpuBefore = true, state.CPU
	s.cpu = e.cpu
	if state.LogPath == "" {
		return
	}
	lines, err := e.log.read(state.LogPath, final)
	s.lines, s.logged = lines, err == nil
	if err != nil {
		e.monitor.config.Logger.WarnContext(ctx, "cannot read an instance's log", "app", e.instance.App, "release", e.instance.Release, "error", err)
	}
}

// spent is the time since before; a counter that went down was started anew.
func spent(now, before time.Duration) time.Duration {
	if now < before {
		return now
	}
	return now - before
}

// count asks what the router has passed on.
func (e *local) count(ctx context.Context, s *sight) {
	now, err := e.monitor.config.Counters.Counts(ctx, e.instance)
	if err != nil {
		if s.err == nil {
			s.err = fmt.Errorf("reading what was passed to it: %w", err)
		}
		return
	}
	if e.hasCounts {
		fresh := since(now, e.before)
		e.traffic.Requests += fresh.Requests
		for i, n := range fresh.ByClass {
			e.traffic.ByClass[i] += n
		}
	}
	e.hasCounts, e.before = true, now
	e.traffic.InFlight, e.traffic.Latencies = now.InFlight, now.Latencies
	s.counted, s.traffic = true, e.traffic
}
