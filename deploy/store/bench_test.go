package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/store"
)

// deployments is how many the page is read from. Half of them are of one app.
const deployments = 1_000_000

const fill = `
INSERT INTO users VALUES ('alice', 'developer', 0), ('victor', 'viewer', 0);
INSERT INTO apps VALUES (1, 'shop', 'refs/heads/main', 'sha1', 0, NULL), (2, 'blog', 'refs/heads/main', 'sha1', 0, NULL),
	(3, 'wiki', 'refs/heads/main', 'sha1', 0, NULL), (4, 'docs', 'refs/heads/main', 'sha1', 0, NULL);
INSERT INTO grants VALUES (1, 'alice', 'developer'), (2, 'alice', 'viewer'), (3, 'victor', 'viewer'), (4, 'victor', 'viewer');
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO deployments SELECT i, 1 + i % 2, iif(i % 2, 'blog', 'shop'), 'production', 'refs/heads/main',
	'3f2c9e1b2c3d4f2c9e1b2c3d4f2c9e1b2c3d4f2c', '3f2c9e1b2c3d4f2c9e1b2c3d4f2c9e1b2c3d4f2c', 'Fix cart total', 'Alice', i,
	iif(i % 7, 'alice', 'bob'), 0, 'SHA256:SomeFingerprintOfFortyThreeCharactersOrSo', '192.0.2.7', 0, '', 0,
	iif(i % 10, 'accepted', 'rejected'), iif(i % 10, '', 'test'), iif(i % 10, '', 'test set "unit" failed (exit status 1)'),
	iif(i % 10, '', 'test.unit'), i - 1, i * 1000000, i * 1000000, i * 1000000, i * 1000000, i % 10 > 0, 1, '', '', NULL FROM n`

// BenchmarkPage reads a page of 50 deployments with three filters. The goal is 5 ms for 99 of 100.
func BenchmarkPage(b *testing.B) {
	path := filepath.Join(b.TempDir(), "slipway.db")
	s, err := store.Open(context.Background(), path, silent())
	if err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Exec(fill, deployments); err != nil {
		b.Fatal(err)
	}
	db.Close()
	s.Close()
	start := time.Now()
	if s, err = store.Open(context.Background(), path, silent()); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	opened := time.Since(start)
	for name, f := range map[string]deploy.DeploymentFilter{
		"app,status,user":      {App: "shop", Status: deploy.StatusRejected, User: "alice"},
		"user,status,visible":  {User: "bob", Status: deploy.StatusAccepted, VisibleTo: deploy.Scope{User: "alice"}},
		"status,stage,visible": {Status: deploy.StatusRejected, FailedStage: "test.unit", VisibleTo: deploy.Scope{User: "alice"}},
		"app,user,code":        {App: "shop", User: "bob", Code: deploy.CodeTest},
		"none":                 {},
		"visible, none there":  {VisibleTo: deploy.Scope{User: "victor"}},
	} {
		want := 50
		if f.VisibleTo.User == "victor" {
			want = 0 // of a million deployments
		}
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				f.Before = deploy.Number(deployments - i*7919%(deployments/2))
				start := time.Now()
				if page, err := s.Deployments(context.Background(), f); err != nil || len(page) != want {
					b.Fatal(len(page), err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(opened.Seconds(), "s-to-open")
		})
	}
}

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
