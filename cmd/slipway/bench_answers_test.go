//go:build bench

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/api"
	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/control"
)

// idle is a pipeline in which one deployment is in work.
type idle struct{ control.Pipeline }

func (idle) Running(deploy.Number) bool { return true }

// benchAnswers measures what programs wait for: a page of history, and a line of a log that grows.
func benchAnswers(t *testing.T, p *place, r *report) {
	quiet := slog.New(slog.DiscardHandler)
	layout := deploy.Layout(filepath.Join(p.dir, "answers"))
	if err := os.MkdirAll(string(layout), 0o700); err != nil {
		t.Fatal(err)
	}
	db := filledHistory(t, "sqlite", layout.Database(), quiet)
	defer db.Close()
	log := openHistory(t, layout.Audit(), quiet)
	defer log.Close()
	recorder := audit.NewRecorder(log, db, quiet)
	running := deploy.Number(*benchDeployments + 1)
	for _, e := range []deploy.Event{
		deploy.Event{Type: deploy.EventDeploymentQueued}.WithData(deploy.Deployment{Number: running, App: "app1", QueuedAt: time.Now()}),
		{Type: deploy.EventStageStarted, Stage: deploy.StageBuild},
	} {
		e.App, e.Deployment, e.Actor = "app1", running, deploy.ServerActor("bench")
		if _, err := recorder.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	c := control.New(control.Config{Layout: layout, Records: db, Recorder: recorder, Pipeline: idle{}, Logger: quiet})
	handler, err := api.New(api.Config{Control: c, Stopping: make(chan struct{}), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	_, secret, err := c.CreateToken(t.Context(), deploy.Caller{Actor: deploy.ServerActor("bench"), Admin: true},
		deploy.NewToken{Name: "bench", Limit: deploy.Limit{Role: deploy.RoleViewer}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context, path string) *http.Response {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+secret)
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		return res
	}
	s := r.section("The API", "what", "p50", "p99", "goal")
	s.note("Over HTTP on loopback, with a token, out of %d deployments. A line is written to a stage's log, and read as a server-sent event.", *benchDeployments)
	pages := benchAPIPages(t, ask)
	s.row("a page of 50 deployments, with three filters", inMilliseconds(pages.median()), inMilliseconds(pages.quantile(0.99)), "")
	for _, weeks := range []int{1, deploy.DefaultWeeks} {
		n, took := benchStatistics(t, weeks, ask)
		s.row(fmt.Sprintf("statistics of %d deployments", n), inMilliseconds(took.median()), inMilliseconds(took.quantile(0.99)), "")
	}
	lines := benchLines(t, layout, running, ask)
	s.row("a line from the disk to its reader", inMilliseconds(lines.median()), inMilliseconds(lines.quantile(0.99)), atMost(lines.quantile(0.99), 50, " ms"))
}

func benchAPIPages(t *testing.T, ask func(context.Context, string) *http.Response) figures {
	t.Helper()
	var took figures
	for i := range 300 {
		before := *benchDeployments - i*(*benchDeployments/600)
		begin := time.Now()
		res := ask(t.Context(), fmt.Sprintf("/deployments?app=app1&status=rejected&failedStage=test.unit&before=%d", before))
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		took.add(time.Since(begin))
	}
	return took
}

// benchStatistics asks for those of the last weeks that the history has.
func benchStatistics(t *testing.T, weeks int, ask func(context.Context, string) *http.Response) (int, figures) {
	t.Helper()
	var took figures
	var answer deploy.Statistics
	for range 5 {
		begin := time.Now()
		res := ask(t.Context(), fmt.Sprintf("/stats?weeks=%d&until=%s", weeks, time.Unix(int64(*benchDeployments), 0).UTC().Format(time.RFC3339)))
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		took.add(time.Since(begin))
	}
	if answer.Total.Deployments == 0 {
		t.Error("there were no deployments")
	}
	return answer.Total.Deployments, took
}

func benchLines(t *testing.T, layout deploy.Layout, n deploy.Number, ask func(context.Context, string) *http.Response) figures {
	t.Helper()
	if err := os.MkdirAll(layout.Deployment(n), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(layout.Deployment(n), "build.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res := ask(ctx, fmt.Sprintf("/deployments/%s/logs/build/stream", n))
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	var took figures
	for i := range 300 {
		begin := time.Now()
		if _, err := fmt.Fprintf(f, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
		for {
			line, err := body.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "data: ") {
				break
			}
		}
		took.add(time.Since(begin))
	}
	return took
}
