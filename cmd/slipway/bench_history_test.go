//go:build bench

package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/store"
	"slipway/deploy/store/pgtest"
)

var benchDeployments = flag.Int("deployments", 100_000, "deployments that a page of history is read from")

// benchRecords measures what keeps the records and makes databases of them.
func benchRecords(t *testing.T, p *place, r *report) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	cluster, err := pgtest.Start() // with its own settings: it syncs
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Stop()
	url, err := cluster.Schema()
	if err != nil {
		t.Fatal(err)
	}
	s := r.section("Records", "what", "takes", "goal")
	dir := filepath.Join(p.dir, "history")
	benchAppend(t, s, filepath.Join(dir, "appended"), quiet)
	many := inMemory(t)
	benchVerify(t, s, many, quiet)
	benchRebuild(t, s, "SQLite", many, filepath.Join(dir, "rebuilt.db"), quiet)
	benchRebuild(t, s, "PostgreSQL", many, url, quiet)

}

// benchPages measures the answers from both databases.
func benchPages(t *testing.T, p *place, r *report) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	cluster, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Stop()
	url, err := cluster.Schema()
	if err != nil {
		t.Fatal(err)
	}
	title := fmt.Sprintf("A page of 50 deployments out of %d, with three filters", *benchDeployments)
	pages := r.section(title, "filters", "SQLite p50", "p99", "goal", "PostgreSQL p50", "p99", "goal")
	pages.note("50 apps, of which one has a third of all deployments; 20 users; one in ten was rejected, one in a hundred bypassed the gate. Each of 1000 pages begins somewhere else; each is asked for three times, of which the quickest counts, since the machine does other work as well.")
	lite := filledHistory(t, "sqlite", filepath.Join(p.dir, "pages.db"), quiet)
	defer lite.Close()
	postgres := filledHistory(t, "pgx", url, quiet)
	defer postgres.Close()
	one, err := lite.Deployments(context.Background(), deploy.DeploymentFilter{App: "app1", Status: deploy.StatusAccepted, Limit: 1})
	if err != nil || len(one) != 1 {
		t.Fatal(len(one), err)
	}
	for _, q := range pageQuestions(one[0].New[:9]) {
		a, b := pageFigures(t, lite, q.filter), pageFigures(t, postgres, q.filter)
		pages.row(q.name, inMilliseconds(a.median()), inMilliseconds(a.quantile(0.99)), atMost(a.quantile(0.99), 5, " ms"),
			inMilliseconds(b.median()), inMilliseconds(b.quantile(0.99)), atMost(b.quantile(0.99), 5, " ms"))
	}
}

// inMemory is a folder for a log that is only to be read: to write it need not take the disk's time.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "slipway-bench-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func inMilliseconds(v float64) string { return digits(v) + " ms" }

func historyEvent(i int) deploy.Event {
	return deploy.Event{
		Type: deploy.EventStageFinished, Actor: deploy.Actor{Type: deploy.ActorUser, Name: "alice", Key: "SHA256:key", IP: "192.0.2.7", Origin: "ssh"},
		App: "shop", Environment: deploy.Production, Ref: "refs/heads/main", Deployment: deploy.Number(i/8 + 1), Stage: "test.unit", Outcome: deploy.OutcomePass,
	}.WithData(deploy.StageData{Log: "test.unit.log", Size: 4711, SHA256: strings.Repeat("0f", 32)})
}

func benchAppend(t *testing.T, s *section, dir string, quiet *slog.Logger) {
	t.Helper()
	l := openHistory(t, dir, quiet)
	defer l.Close()
	var took figures
	for i := range 2000 {
		begin := time.Now()
		if _, err := l.Append(context.Background(), historyEvent(i)); err != nil {
			t.Fatal(err)
		}
		took.add(time.Since(begin))
	}
	s.row("append and sync one event (99 of 100 within "+inMilliseconds(took.quantile(0.99))+")", took.String(), atMost(took.median(), 0.5, " ms"))
}

func openHistory(t *testing.T, dir string, quiet *slog.Logger) *audit.Log {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(dir, audit.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// benchVerify writes a log of 100,000 events, those of whole deployments, and verifies it.
func benchVerify(t *testing.T, s *section, dir string, quiet *slog.Logger) {
	t.Helper()
	l := openHistory(t, dir, quiet)
	add := func(e deploy.Event) {
		if _, err := l.Append(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	system := deploy.ServerActor("bench")
	add(deploy.Event{Type: deploy.EventAppCreated, Actor: system, App: "shop"}.WithData(deploy.App{Name: "shop", ID: 1, GatedRef: "refs/heads/main", ObjectFormat: "sha1"}))
	for i := 1; i < 100_000; i++ {
		e, n := historyEvent(i), deploy.Number(i/10+1)
		e.Deployment = n
		switch i % 10 {
		case 0, 1:
			if i%10 == 1 && i > 1 {
				e.Type = deploy.EventStageStarted
				break
			}
			e = deploy.Event{Type: deploy.EventDeploymentQueued, Actor: e.Actor, App: "shop", Deployment: n}.WithData(deploy.Deployment{
				Number: n, App: "shop", Ref: "refs/heads/main", New: deploy.OID(fmt.Sprintf("%040x", i)), Commit: deploy.Commit{Subject: "Fix cart total"}})
		case 2, 4, 6:
			e.Type = deploy.EventStageStarted
		case 8:
			e.Type = deploy.EventAccepted
		case 9:
			e.Type = deploy.EventRefMoved
		}
		add(e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var took figures
	for range 3 {
		begin := time.Now()
		if report, err := audit.Verify(context.Background(), dir); err != nil || !report.OK() {
			t.Fatal(report.Findings, err)
		}
		took.add(time.Since(begin))
	}
	s.row("verify 100,000 events", took.String(), "")
}

// benchRebuild makes a database from the log: the server's own in one transaction that nobody sees before
// it ends, PostgreSQL as it follows, some events at a time.
func benchRebuild(t *testing.T, s *section, name, log, where string, quiet *slog.Logger) {
	t.Helper()
	l, db := openHistory(t, log, quiet), openDatabase(t, where, quiet)
	defer l.Close()
	defer db.Close()
	r := audit.NewRecorder(l, db, quiet)
	begin := time.Now()
	var err error
	if strings.Contains(where, "://") {
		err = r.CatchUp(context.Background())
	} else {
		err = r.Rebuild(context.Background(), db.Rebuild)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.row("rebuild "+name+" from 100,000 events of 10,000 deployments", fmt.Sprintf("%.1f s", time.Since(begin).Seconds()), "")
}

func openDatabase(t *testing.T, where string, quiet *slog.Logger) *store.Store {
	t.Helper()
	db, err := store.Open(context.Background(), where, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// historyRows are the rows that so many deployments leave; %[1]s makes the numbers up to %[2]d.
const historyRows = `
INSERT INTO users (name, role, created_at) VALUES ('root', 'admin', 0), ('viewer', 'viewer', 0);
%[1]s INSERT INTO apps (id, name, gated_ref, object_format, created_at) SELECT i, 'app' || i, 'refs/heads/main', 'sha1', 0 FROM n WHERE i <= 50;
%[1]s INSERT INTO grants (app_id, user_name, role) SELECT i, 'viewer', 'viewer' FROM n WHERE i <= 20;
%[1]s INSERT INTO deployments (number, app_id, app, environment, ref, old_oid, new_oid, commit_subject, commit_author, commit_authored_at,
	pusher_user, pusher_admin, pusher_fingerprint, pusher_ip, bypass, bypass_reason, bypass_forced, status, code, reason, failed_stage, previous,
	queued_at, started_at, switched_at, finished_at, ref_moved, settled, roll_back, roll_back_reason, queued_order)
SELECT i, a, 'app' || a, 'production', CASE WHEN i %% 50 = 3 THEN 'refs/heads/next' ELSE 'refs/heads/main' END,
	'3f2c9e1b2c3d4f2c9e1b2c3d4f2c9e1b2c3d4f2c', substr('0123456789abcdef', CAST(1 + i %% 16 AS INTEGER), 1) || substr('' || (10000019 + i * 7919), 1, 8) || '2c3d4f2c9e1b2c3d4f2c9e1b2c3d4f2',
	'Fix total of cart ' || (i %% 1000), 'Ann', 0, 'user' || (i * 48271 %% 2147483647 / 1000 %% 20), FALSE, 'SHA256:SomeFingerprintOfFortyThreeCharactersOrSo', '192.0.2.7',
	i %% 100 = 7, '', FALSE, CASE WHEN r THEN 'rejected' ELSE 'accepted' END, CASE WHEN r THEN 'test' ELSE '' END,
	CASE WHEN r THEN 'test set "unit" failed (exit status 1)' ELSE '' END, CASE WHEN r THEN (CASE WHEN i %% 3 = 0 THEN 'build' ELSE 'test.unit' END) ELSE '' END, i - 1,
	i * 1000000, i * 1000000, i * 1000000, i * 1000000, NOT r, TRUE, '', '', i * 1000000
FROM (SELECT i, CASE WHEN i * 69621 %% 2147483647 / 1000 %% 3 = 0 THEN 1 ELSE 1 + i * 40692 %% 2147483399 / 1000 %% 50 END AS a, i * 16807 %% 2147483647 / 1000 %% 10 = 0 AS r FROM n) d;
%[1]s INSERT INTO words (word, deployment) SELECT 'cart', i FROM n;
%[1]s INSERT INTO words (word, deployment) SELECT 'fix', i FROM n;
%[1]s INSERT INTO words (word, deployment) SELECT 'total', i FROM n;
%[1]s INSERT INTO words (word, deployment) SELECT '' || (i %% 1000), i FROM n WHERE i %% 1000 > 9 ORDER BY i %% 1000, i;
INSERT INTO words (word, deployment) SELECT 'failed', number FROM deployments WHERE status = 'rejected';
INSERT INTO words (word, deployment) SELECT 'unit', number FROM deployments WHERE status = 'rejected';`

func filledHistory(t *testing.T, driver, where string, quiet *slog.Logger) *store.Store {
	t.Helper()
	if err := openDatabase(t, where, quiet).Close(); err != nil { // makes the schema
		t.Fatal(err)
	}
	db, err := sql.Open(driver, where)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	numbers, analyze := "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)", ""
	if driver == "pgx" { // which counts its rows by itself, unlike SQLite
		numbers, analyze = "WITH n (i) AS (SELECT generate_series(1, %d)::bigint)", "ANALYZE;"
	}
	if _, err := db.Exec(fmt.Sprintf(historyRows, fmt.Sprintf(numbers, *benchDeployments)) + analyze); err != nil {
		t.Fatal(err)
	}
	return openDatabase(t, where, quiet)
}

type pageQuestion struct {
	name   string
	filter func(begin deploy.Number) deploy.DeploymentFilter
}

func pageQuestions(revision deploy.OID) []pageQuestion {
	at := func(n deploy.Number) time.Time { return time.Unix(int64(n), 0) }
	viewer := deploy.Scope{User: "viewer"}
	return []pageQuestion{
		{"app, status, user", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{App: "app1", Status: deploy.StatusRejected, User: "user7", Before: n}
		}},
		{"app, stage of failure, user", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{App: "app1", FailedStage: "build", User: "user7", Before: n}
		}},
		{"ref, bypass, status", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{Ref: "refs/heads/main", Bypassed: true, Status: deploy.StatusAccepted, Before: n}
		}},
		{"app, status, time", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{App: "app1", Status: deploy.StatusAccepted, Since: at(n / 2), Until: at(n)}
		}},
		{"what a viewer of 20 apps sees, status, user", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{VisibleTo: viewer, Status: deploy.StatusAccepted, User: "user7", Before: n}
		}},
		{"app, status, two words that many have", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{App: "app1", Status: deploy.StatusRejected, Text: "failed cart", Before: n}
		}},
		{"app, status, a word that few have", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{App: "app1", Status: deploy.StatusAccepted, Text: "cart 424", Before: n}
		}},
		{"app, status, 9 digits of a revision", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{App: "app1", Status: deploy.StatusAccepted, Revision: revision}
		}},
		{"the page before, app, user, status", func(n deploy.Number) deploy.DeploymentFilter {
			return deploy.DeploymentFilter{App: "app1", User: "user7", Status: deploy.StatusAccepted, After: n}
		}},
	}
}

// pageFigures reads many pages.
func pageFigures(t *testing.T, db *store.Store, filter func(deploy.Number) deploy.DeploymentFilter) figures {
	t.Helper()
	var took figures
	for i := range 1020 {
		f := filter(deploy.Number(*benchDeployments - i*7919%(*benchDeployments/2)))
		var page []deploy.Deployment
		best := time.Hour
		for range 3 {
			begin := time.Now()
			var err error
			if page, err = db.Deployments(context.Background(), f); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		if i == 0 && len(page) == 0 && f.After == 0 {
			t.Errorf("no deployment fits %+v", f)
		}
		if i >= 20 { // the first ones read the file
			took.add(best)
		}
	}
	return took
}
