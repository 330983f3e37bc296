package main

import (
	"context"
	"errors"

	meter "slipway/api/metrics"
	"slipway/deploy"
	"slipway/deploy/audit"
)

// metricsSource is the server as Prometheus is told of it.
type metricsSource struct{ *server }

func (m metricsSource) Queue() []deploy.Waiting { return m.pipeline.Queue() }

func (m metricsSource) Audit(ctx context.Context) (recorded, projected uint64, err error) {
	recorded = m.recorder.Head().Sequence
	projected, _, err = m.store.Position(ctx)
	return recorded, projected, err
}

func (m metricsSource) Instances(ctx context.Context) ([]meter.Instance, error) {
	states, err := m.store.TargetStates(ctx)
	if err != nil {
		return nil, err
	}
	var all []meter.Instance
	for _, s := range states {
		if s.Serving == 0 {
			continue
		}
		instances, err := m.engine.Instances(ctx, s.Target, s.Serving)
		if err != nil {
			return all, err
		}
		for _, i := range instances {
			state, err := m.engine.Inspect(ctx, i)
			if err != nil {
				return all, err
			}
			one := meter.Instance{RunningInstance: deploy.RunningInstance{Instance: i, State: state}}
			if i.Addr != "" {
				if one.Counts, err = m.router.Counts(ctx, i); err != nil && !errors.Is(err, deploy.ErrNotFound) {
					return all, err
				}
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// observe counts the events that are recorded until ctx ends.
func (s *server) observe(ctx context.Context) error {
	for from := uint64(0); ; {
		feed := s.recorder.Subscribe(ctx, from)
		for e := range feed.C {
			s.metrics.Observe(e)
		}
		if !errors.Is(feed.Err(), audit.ErrSlow) {
			return feed.Err()
		}
		from = feed.Next()
	}
}
