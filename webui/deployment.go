package webui

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"

	"slipway/deploy"
)

// How many lines of logs a page of a deployment shows: of one log, of one where all has ended,
// and of all together. Of what is above them a script fetches what is about to be seen; without one it is on the
// log's own page.
const (
	maxLogLines   = 5000
	maxEndedLines = 1000
	maxPageLines  = 12000
	leastLines    = 20
)

// deploymentActions are the addresses of one deployment, for those who are signed in.
func (s *Site) deploymentActions() map[string]action {
	return map[string]action{
		"GET /deployments/{n}":             s.deployment,
		"GET /deployments/{n}/live":        s.deploymentLive,
		"GET /deployments/{n}/log/{stage}": s.logPage,
		"POST /deployments/{n}/cancel":     s.cancel,
		"POST /deployments/{n}/regression": s.markRegression,
	}
}

// deployment answers /deployments/{n}.
func (s *Site) deployment(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	t, err := s.story(r.Context(), who, n)
	if err != nil {
		return err
	}
	p := &DeploymentPage{Frame: s.frame(who, fmt.Sprintf("%s deployment %d", t.App, n), "deployments")}
	if err := s.tell(r.Context(), who, p, t); err != nil {
		return err
	}
	return s.show(w, http.StatusOK, "deployment", p)
}

// numberOf is the deployment that a request is about.
func numberOf(r *http.Request) (deploy.Number, error) {
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || n <= 0 {
		return 0, deploy.Reject(deploy.CodeNotFound, "there is no deployment %.20q", r.PathValue("n"))
	}
	return deploy.Number(n), nil
}

// tell fills a deployment's page.
func (s *Site) tell(ctx context.Context, who deploy.Caller, p *DeploymentPage, t *story) error {
	mayPush, err := s.mayPush(ctx, who, t.App)
	if err != nil {
		return err
	}
	s.head(p, t, mayPush)
	p.Stages = timeline(t, p.Now)
	at, err := s.logs(ctx, who, p, t)
	if err != nil {
		return err
	}
	if err := s.measurements(ctx, who, p, t); err != nil {
		return err
	}
	if err := s.changes(ctx, who, p); err != nil {
		return err
	}
	p.Events = eventRows(t.events)
	if t.running {
		p.Live = address(t.Number) + "/live?" + query("at", at.String())
	}
	return nil
}

// address is a deployment's page.
func address(n deploy.Number) string { return "/deployments/" + n.String() }

// logs fills in the logs, what failed or runs first, then the newest, and returns where those end that will
// grow.
func (s *Site) logs(ctx context.Context, who deploy.Caller, p *DeploymentPage, t *story) (position, error) {
	at := position{}
	left := maxPageLines
	names := t.logs()
	slices.Reverse(names)
	slices.SortStableFunc(names, func(a, b string) int { return rank(t, a) - rank(t, b) })
	for _, name := range names {
		most := maxLogLines
		if !t.running {
			most = maxEndedLines
		}
		l, e, err := s.log(ctx, who, t, name, func(f *os.File, size int64, ended bool) (excerpt, error) {
			return last(f, size, max(leastLines, min(most, left)), ended)
		})
		if err != nil {
			return at, err
		}
		left -= len(e.lines)
		at.logs = append(at.logs, place{name, follower{offset: e.offset, next: e.next, style: e.style}})
		if name == transcript {
			p.Transcript = l
		} else {
			p.Logs = append(p.Logs, l)
		}
	}
	return at, nil
}

// rank sorts logs: what is to be read first has the lowest.
func rank(t *story, log string) int {
	if log == transcript {
		return 2
	}
	if s, _ := t.stage(log); s.Outcome == "" || s.Outcome == deploy.OutcomeFail || s.Outcome == deploy.OutcomeFault {
		return 0
	}
	return 1
}

// log reads as much of a log as read does.
func (s *Site) log(ctx context.Context, who deploy.Caller, t *story, name string, read func(*os.File, int64, bool) (excerpt, error)) (Log, excerpt, error) {
	l := s.logHead(t, name)
	e := excerpt{next: 1}
	path, err := s.Control.LogPath(ctx, who, t.Number, name)
	if err != nil {
		return l, e, err
	}
	err = opened(path, func(f *os.File, size int64) error {
		e, err = read(f, size, t.ended(name))
		return err
	})
	if err != nil {
		return l, e, err
	}
	l.Total, l.Lines, l.Before = e.total, e.lines, max(0, min(e.first-1, e.total))
	l.Places = emptyBlocks(l.Before)
	return l, e, nil
}

// logHead is a log without its lines.
func (s *Site) logHead(t *story, name string) Log {
	l := Log{Name: name, Live: !t.ended(name), Page: address(t.Number) + "/log/" + name}
	l.Whole = l.Page + ".txt"
	if name == transcript {
		l.State = stateOf(t.Status)
		return l
	}
	stage, _ := t.stage(name)
	l.State = stageState(t, stage)
	l.Open = rank(t, name) == 0
	l.Going = l.State.Class == "run"
	l.Took = took(stage.StartedAt, stage.FinishedAt, s.Now())
	return l
}

// opened hands on a file with its size. One that is not there yet, or was pruned, is an empty one.
func opened(path string, do func(f *os.File, size int64) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	return do(f, info.Size())
}

// measurements fills in the watch.
func (s *Site) measurements(ctx context.Context, who deploy.Caller, p *DeploymentPage, t *story) error {
	path, err := s.Control.MeasurementsPath(ctx, who, t.Number)
	if err != nil {
		return err
	}
	m := &measured{}
	if err := opened(path, func(f *os.File, size int64) error { return m.read(f, size) }); err != nil {
		return err
	}
	p.watched(t, m)
	return nil
}

// watched shows what was measured; the record of the stage knows the last answers of its checks.
func (p *DeploymentPage) watched(t *story, m *measured) {
	checks := m.checks
	if stage, ok := t.stage(string(deploy.StageMonitor)); ok && len(stage.Checks) > 0 {
		checks = stage.Checks
	}
	p.Checks, p.Watch = checkRows(checks), m.charts()
}
