package store_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"slipway/deploy"
	"slipway/deploy/store"
)

// BenchmarkRebuild projects 100,000 events an iteration, 500 at a time.
func BenchmarkRebuild(b *testing.B) {
	var all []deploy.Event
	for i := 0; len(all) < 100_000; i++ {
		for _, e := range eventful() {
			e.Sequence, e.ID, e.At = uint64(len(all))+1, "x", noon
			if e.Deployment > 0 {
				e.Deployment += deploy.Number(i * 10)
			}
			if e.Type == deploy.EventDeploymentQueued {
				e = e.WithData(deploy.Deployment{Number: e.Deployment, App: "shop", New: e.New})
			}
			all = append(all, e)
		}
	}
	for b.Loop() {
		s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "slipway.db"), silent())
		if err != nil {
			b.Fatal(err)
		}
		for some := range slices.Chunk(all, 500) {
			if err := s.Project(context.Background(), some...); err != nil {
				b.Fatal(err)
			}
		}
		s.Close()
	}
}

// BenchmarkProject projects one event a transaction, as it happens: those of pushes that are accepted.
func BenchmarkProject(b *testing.B) {
	s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "slipway.db"), silent())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	sequence, n := uint64(0), deploy.Number(0)
	project := func(e deploy.Event) {
		sequence++
		e.Sequence, e.ID, e.At = sequence, "x", noon
		if err := s.Project(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
	project(appCreated("shop", 1))
	events := 0
	for b.Loop() {
		n++
		project(queued(n, oid("a")))
		project(started(n, n-1, oid("0")))
		for _, name := range []deploy.StageName{deploy.StageCheckout, deploy.StageBuild, deploy.StageRelease, deploy.StageSwitch, deploy.StageMonitor} {
			began, ended := of(n, deploy.EventStageStarted), of(n, deploy.EventStageFinished).WithData(deploy.StageData{Log: "a.log", Size: 7})
			began.Stage, ended.Stage, ended.Outcome = name, name, deploy.OutcomePass
			project(began)
			project(ended)
		}
		project(of(n, deploy.EventSwitchIntended))
		project(of(n, deploy.EventSwitchDone))
		project(accepted(n, n-1, oid("0"), oid("a")))
		project(of(n, deploy.EventRefMoved))
		events += 16
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(events), "µs/event")
}
