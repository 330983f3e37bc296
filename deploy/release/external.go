package release

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// Runner runs a step of a job in the sandbox, with vars as additional environment. It returns a
// [deploy.Rejection] for a step that failed.
type Runner interface {
	Run(ctx context.Context, job *deploy.Job, name string, step deploy.Step, vars map[string]string, log io.Writer) error
}

// ExternalConfig is what an [External] engine needs. Layout, Runner and Variables have to be set.
type ExternalConfig struct {
	Layout    deploy.Layout
	Runner    Runner
	Variables VariableReader // for the release command; what deploys gets its own from the Runner
	Client    *http.Client   // for Verify.URL; nil is one without redirects, proxies and kept connections
	Logger    *slog.Logger
}

// External brings releases to where production is by the manifest's [deploy] run and undo, and finds
// out by [verify] url what serves there.
type External struct {
	directories
	config ExternalConfig
}

// NewExternal returns an engine. It starts nothing.
func NewExternal(c ExternalConfig) *External {
	c.Client = cmp.Or(c.Client, probeClient())
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Variables == nil {
		c.Variables = noVariables{}
	}
	return &External{directories: directories{c.Layout}, config: c}
}

// Start makes a release of the job's tree and runs its release command. Nothing of it serves yet. It
// returns as [Local.Start] does.
func (e *External) Start(ctx context.Context, job *deploy.Job, log io.Writer) (deploy.Candidate, error) {
	tree := job.Tree
	p, err := e.make(job)
	if err == nil {
		err = e.sync(p)
	}
	if err == nil && len(job.Manifest.Deploy.Release.Commands) > 0 {
		var vars deploy.Variables
		if vars, err = e.config.Variables.Read(ctx, job.App.Name); err == nil {
			err = e.config.Runner.Run(ctx, job, "release", job.Manifest.Deploy.Release, vars.All(), log)
		}
	}
	if err != nil {
		return deploy.Candidate{}, errors.Join(err, e.unmake(job, tree))
	}
	return deploy.Candidate{Release: p.release(e.layout)}, nil
}

// Switch makes release to serve where production is, and returns when that answers with its revision.
// Back to the release that from replaced it goes by from's undo command, if there is one; anywhere else
// by to's run command. A [deploy.Rejection] with deploy.CodeSwitch says that production did not take
// it; then Serving tells what is there. What the commands print is in the deployment's folder.
func (e *External) Switch(ctx context.Context, t deploy.Target, from, to deploy.Number) error {
	now, err := e.record(t.App)
	if err != nil {
		return err
	}
	step, err := e.way(t, from, to, now)
	if err != nil {
		return err
	}
	next := record{Serving: to, Previous: from, Intended: to}
	if step.name == "undo" {
		next.Previous = 0 // what was served before that is not known to undo
	}
	// On record before anything happens: after a crash in the middle nobody knows what serves.
	now.Intended = to
	if err := e.setRecord(t.App, now); err != nil {
		return err
	}
	if err := e.command(ctx, t, step, from, to); err != nil {
		return err
	}
	if err := e.confirm(ctx, t, to); err != nil {
		return err
	}
	return e.setRecord(t.App, next)
}

// way is how to get to a release.
type way struct {
	name string // run or undo
	step deploy.Step
	job  deploy.Job // whose step it is
}

func (e *External) way(t deploy.Target, from, to deploy.Number, now record) (way, error) {
	if from != 0 && (to == 0 || now.back(from) == to) {
		p, err := e.plan(t.App, from)
		if err != nil {
			return way{}, err
		}
		if undo := p.Job.Manifest.Deploy.Undo; len(undo.Commands) > 0 {
			return way{"undo", undo, p.Job}, nil
		}
	}
	if to == 0 {
		return way{}, fmt.Errorf("taking %s out of production: release %s has no undo command", t, from)
	}
	p, err := e.plan(t.App, to)
	if err != nil {
		return way{}, err
	}
	return way{"run", p.Job.Manifest.Deploy.Run, p.Job}, nil
}

// command runs the step, with what it needs to know beside the variables that the Runner gives it.
func (e *External) command(ctx context.Context, t deploy.Target, w way, from, to deploy.Number) error {
	all := map[string]string{"SLIPWAY_FROM": from.String(), "SLIPWAY_TO": to.String()}
	for name, n := range map[string]deploy.Number{"SLIPWAY_FROM_REVISION": from, "SLIPWAY_TO_REVISION": to} {
		if p, err := e.plan(t.App, n); err == nil {
			all[name] = string(p.Job.Revision)
		}
	}
	dir := e.layout.Deployment(w.job.Number)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("opening the log of deploy %s: %w", w.name, err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "deploy."+w.name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of deploy %s: %w", w.name, err)
	}
	defer log.Close()
	if err := e.config.Runner.Run(ctx, &w.job, w.name, w.step, all, log); err != nil {
		return fmt.Errorf("running deploy %s of release %s: %w", w.name, w.job.Number, err)
	}
	return nil
}

// confirm asks production until it answers with the revision of release n. To 0 there is nothing to
// ask for, and without a URL nobody to ask.
func (e *External) confirm(ctx context.Context, t deploy.Target, n deploy.Number) error {
	if n == 0 {
		return nil
	}
	p, err := e.plan(t.App, n)
	if err != nil {
		return err
	}
	url := p.Job.Manifest.Verify.URL
	if url == "" {
		return nil
	}
	limit := either(p.Job.Manifest.Deploy.ReadyTimeout, defaultReadyTimeout)
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := ""
	for begin := time.Now(); ; {
		body, err := e.fetch(timed, url)
		switch {
		case err == nil && strings.Contains(body, string(p.Job.Revision)):
			return nil
		case err == nil:
			last = fmt.Sprintf("it answered %q", firstLine(body))
		case timed.Err() == nil || last == "":
			last = err.Error()
		}
		select {
		case <-time.After(pause(begin)):
			continue
		case <-timed.Done():
		}
		if ctx.Err() != nil {
			return fmt.Errorf("verifying %s: %w", url, context.Cause(ctx))
		}
		r := deploy.Reject(deploy.CodeSwitch, "production did not show revision %s within %s: %s: %s", p.Job.Revision.Short(), span(limit), url, last)
		r.Line = "production did not take the revision"
		return r
	}
}

func firstLine(body string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(body), "\n")
	if len(line) > 100 {
		line = line[:100] + "…"
	}
	return line
}

// fetch gets the beginning of what url answers.
func (e *External) fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := e.config.Client.Do(req)
	if err != nil {
		return "", cause(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return string(body), nil
}

// Stop has nothing to end: what runs where production is belongs to the commands.
func (e *External) Stop(context.Context, deploy.Target, deploy.Number, time.Duration) error {
	return nil
}

// Instances lists none: they are not ours.
func (e *External) Instances(context.Context, deploy.Target, deploy.Number) ([]deploy.Instance, error) {
	return nil, nil
}

// Serving tells which release production answers with. Where its manifest names no address to verify,
// that is the one which was brought there last; an answer that is no release's revision is an error.
func (e *External) Serving(ctx context.Context, t deploy.Target) (deploy.Number, error) {
	now, err := e.record(t.App)
	if err != nil {
		return 0, err
	}
	latest := either(now.Intended, now.Serving)
	if latest == 0 {
		return 0, nil
	}
	p, err := e.plan(t.App, latest)
	if err != nil {
		return 0, err
	}
	url := p.Job.Manifest.Verify.URL
	if url == "" {
		if now.Intended != now.Serving {
			return 0, fmt.Errorf("nobody can say whether %s serves release %s or %s: a switch was interrupted and there is no [verify] url", t, now.Serving, now.Intended)
		}
		return now.Serving, nil
	}
	body, err := e.fetch(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("asking production of %s what it serves: %s: %w", t, url, err)
	}
	numbers, err := e.numbers(t.App)
	if err != nil {
		return 0, err
	}
	for _, n := range append([]deploy.Number{latest, now.Serving}, numbers...) {
		if p, err := e.plan(t.App, n); err == nil && strings.Contains(body, string(p.Job.Revision)) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("production of %s answers with no known revision: %s: %q", t, url, firstLine(body))
}

// Prune removes the app's releases but the newest keepN, those to keep, the current one and the ones
// that production may be at. Before each of them about is called, whose error ends it.
func (e *External) Prune(_ context.Context, app deploy.AppName, keep []deploy.Number, keepN int, about func(deploy.Number) error) error {
	now, err := e.record(app)
	if err != nil {
		return err
	}
	return e.prune(app, append([]deploy.Number{now.Serving, now.Previous, now.Intended}, keep...), keepN, about)
}

// Sweep removes what crashes have left.
func (e *External) Sweep(_ context.Context, t deploy.Target, keep ...deploy.Number) error {
	return e.sweep(t.App, keep)
}

// Restart is refused: nothing of it runs here.
func (e *External) Restart(_ context.Context, t deploy.Target) error {
	return deploy.Reject(deploy.CodeUsage, "%s runs elsewhere and cannot be restarted from here", t)
}

// Restore has nothing to bring back.
func (e *External) Restore(context.Context, deploy.Target, deploy.Number) error { return nil }

// record is what was brought to production, as far as the commands said so.
type record struct {
	Serving  deploy.Number `json:"serving"`
	Previous deploy.Number `json:"previous"` // what Serving replaced
	Intended deploy.Number `json:"intended"` // differs from Serving while, or after, a switch did not end
}

// back is the release that undoing from leads to.
func (r record) back(from deploy.Number) deploy.Number {
	if r.Intended == from && r.Serving != from {
		return r.Serving // from's own switch did not end
	}
	if r.Serving == from {
		return r.Previous
	}
	return -1
}

func (e *External) recordPath(app deploy.AppName) string {
	return filepath.Join(e.layout.Instances(app), "external"+planSuffix)
}

func (e *External) record(app deploy.AppName) (record, error) {
	var r record
	b, err := os.ReadFile(e.recordPath(app))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("reading what %s serves elsewhere: %w", app, err)
	}
	return r, nil
}

func (e *External) setRecord(app deploy.AppName, r record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("recording what %s serves elsewhere: %w", app, err)
	}
	if err := durable.Replace(e.recordPath(app), append(b, '\n')); err != nil {
		return fmt.Errorf("recording what %s serves elsewhere: %w", app, err)
	}
	return nil
}
