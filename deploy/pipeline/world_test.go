package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
)

// world is everything outside the pipeline, in memory: it outlives a pipeline that was killed.
// Every effect passes through step, where a test can kill the server before or after it.
type world struct {
	t      *testing.T
	layout deploy.Layout

	mu       sync.Mutex
	events   []deploy.Event
	rows     map[deploy.Number]*deploy.Deployment
	state    deploy.TargetState
	ref      deploy.OID
	locked   bool
	traffic  deploy.Number
	started  map[deploy.Number]bool
	current  deploy.Number
	spared   [][]deploy.Number // each time that releases were pruned
	prunable []deploy.Number   // what there is to be pruned
	pruned   []deploy.Number
	manifest deploy.Manifest
	notes    []string // on its tree
	full     bool     // the disk
	verdict  deploy.WatchResult

	fail       map[string]error // by step name, what it answers
	refuse     func(step string) error
	stopping   func(context.Context, deploy.Number) error // before a release is stopped
	during     map[string]func()                          // by step name, what happens in it
	steps      int                                        // effects so far
	killAt     int                                        // dies at this step; 0 is never
	after      bool                                       // …after its effect instead of before
	dead       bool
	died       chan struct{} // closed when dead
	generation int           // how often the server was restarted
	killed     *sync.Once
	log        bytes.Buffer
}

var shop = deploy.App{Name: "shop", ID: 1, GatedRef: "refs/heads/main"}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, layout: deploy.Layout(newFolder(t)), rows: map[deploy.Number]*deploy.Deployment{},
		started: map[deploy.Number]bool{}, fail: map[string]error{}, during: map[string]func(){},
		verdict: deploy.WatchResult{Pass: true}, died: make(chan struct{}), killed: new(sync.Once),
	}
	w.manifest = deploy.Manifest{
		Build:     deploy.Step{Commands: []string{"make"}},
		Tests:     []deploy.TestSet{{Name: "unit"}, {Name: "slow", Needs: []string{"unit"}}},
		Processes: []deploy.Process{{Name: "web", Run: "./shop"}},
		Deploy:    deploy.DeployPlan{KeepReleases: 5},
	}
	w.state.Target = deploy.Target{App: "shop", Environment: deploy.Production}
	return w
}

// newFolder makes a folder that goes with the test. What was killed goes on until its next step, and may write
// there until then, so removing it is tried again.
func newFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "pipeline")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := os.RemoveAll(dir)
		for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); err = os.RemoveAll(dir) {
			<-time.After(time.Millisecond)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// process is a running server; one of an older generation was killed, whatever it still tries.
type process struct {
	*world
	generation int
}

// die is what happens to a goroutine of a process that was killed: nothing after it runs.
func (w *process) die() {
	if w.generation == w.world.generation {
		w.killed.Do(func() { close(w.died) })
	}
	w.mu.Unlock()
	runtime.Goexit()
}

// step counts an effect, and kills the server in it if that is its turn.
func (w *process) step(name string, effect func() error) error {
	w.mu.Lock()
	if w.dead || w.generation != w.world.generation {
		w.die()
	}
	w.steps++
	now := w.steps == w.killAt
	if now && !w.after {
		w.dead = true
		w.die()
	}
	err := w.fail[name]
	if err == nil && w.refuse != nil {
		err = w.refuse(name)
	}
	if err == nil {
		err = effect()
	}
	w.dead = w.dead || now
	if w.dead {
		w.die()
	}
	also := w.during[name]
	w.mu.Unlock()
	if also != nil {
		also()
	}
	return err
}

func (w *world) pipeline() *Pipeline {
	s := &process{world: w, generation: w.generation}
	return New(Config{
		Layout: w.layout, Recorder: s, Records: s, History: s, Refs: s, Trees: s, Builder: s, Runner: s,
		Local: local{s}, External: elsewhere{}, Releases: s, Instances: s, Watcher: s,
		Ready:  func(context.Context, deploy.Offer) error { return nil },
		Full:   func() bool { return w.full },
		Parse:  func(string, []byte) (*deploy.Manifest, error) { return &w.manifest, nil },
		Format: func(*deploy.Manifest) []byte { return []byte("[process.web]\nrun = \"./shop\"\n") },
		Addresses: Addresses{
			SSH:   func() string { return "-p 2222 host" },
			Clone: func(a deploy.AppName) string { return "ssh://host:2222/" + string(a) },
			App:   func(a deploy.AppName) string { return "http://" + string(a) + ".localhost:8000" },
			Page:  func(deploy.Number) string { return "" },
		},
		UndoTimeout: time.Minute, Parallel: 2, Logger: slog.New(slog.NewTextHandler(&lockedWriter{w: w}, nil)),
	})
}

type lockedWriter struct{ w *world }

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(b)
}

// Recorder and records.

func (w *process) Record(_ context.Context, e deploy.Event) (deploy.Event, error) {
	return e, w.step("record "+string(e.Type), func() error {
		e.Sequence = uint64(len(w.events) + 1)
		w.events = append(w.events, e)
		w.project(e)
		return nil
	})
}

func (w *world) project(e deploy.Event) {
	row := w.rows[e.Deployment]
	switch e.Type {
	case deploy.EventDeploymentQueued:
		row = &deploy.Deployment{}
		w.must(json.Unmarshal(e.Data, row))
		w.rows[e.Deployment] = row
	case deploy.EventDeploymentStarted:
		var d deploy.StartedData
		w.must(json.Unmarshal(e.Data, &d))
		row.Status, row.Previous, row.Old, row.Bypass = deploy.StatusRunning, d.Previous, e.Old, d.Bypass
	case deploy.EventSwitchIntended:
		row.SwitchedAt = time.Unix(1, 0)
	case deploy.EventRollbackDone:
		row.RolledBackAt = time.Unix(1, 0)
	case deploy.EventAccepted:
		var d deploy.SwitchData
		w.must(json.Unmarshal(e.Data, &d))
		row.Status = deploy.StatusAccepted
		w.state.Serving, w.state.Previous, w.state.Revision = d.To, d.From, e.New
	case deploy.EventRefMoved:
		row.RefMoved = true
	case deploy.EventRejected, deploy.EventCanceled, deploy.EventInterrupted, deploy.EventErrored:
		row.Status, row.Reason, row.FailedStage = statusOf(e.Type), e.Reason, e.Stage
	case deploy.EventTargetFrozen:
		w.state.Frozen = e.Reason
	}
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Error(err)
	}
}

func (w *process) LastNumber(context.Context) (deploy.Number, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last deploy.Number
	for n := range w.rows {
		last = max(last, n)
	}
	return last, nil
}

func (w *process) TargetState(context.Context, deploy.Target) (deploy.TargetState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state, nil
}

func (w *process) App(context.Context, deploy.AppName) (deploy.App, error) { return shop, nil }
func (w *process) Deployment(_ context.Context, n deploy.Number) (deploy.Deployment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	row, ok := w.rows[n]
	if !ok {
		return deploy.Deployment{}, deploy.ErrNotFound
	}
	return *row, nil
}

func (w *process) Revision(_ deploy.AppName, o deploy.OID) deploy.Revision { return revision{oid: o} }

func (w *process) Instances(context.Context, deploy.Target, deploy.Number) ([]deploy.Instance, error) {
	return nil, nil
}

func (w *process) Apps(context.Context) ([]deploy.App, error) { return []deploy.App{shop}, nil }

func (w *process) Unfinished(context.Context) ([]deploy.Deployment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []deploy.Deployment
	for _, d := range w.rows {
		if !d.Status.Final() || d.Status == deploy.StatusAccepted && !d.RefMoved {
			all = append(all, *d)
		}
	}
	slices.SortFunc(all, func(a, b deploy.Deployment) int { return int(a.Number - b.Number) })
	if also := w.during["list unfinished"]; also != nil {
		w.mu.Unlock()
		defer w.mu.Lock()
		also()
	}
	return all, nil
}

// Refs.

func (w *process) Resolve(context.Context, deploy.AppName, deploy.RefName) (deploy.OID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ref, nil
}

func (w *process) Keep(ctx context.Context, _ deploy.AppName, _ deploy.Number, _ deploy.OID) error {
	err := w.step("keep", func() error { return nil })
	if w.during["keep"] != nil { // somebody leaves, and git is killed for it
		<-ctx.Done()
		return errors.New("signal: killed")
	}
	return err
}

func (w *process) Prepare(_ context.Context, _ deploy.AppName, u deploy.RefUpdate) (deploy.RefTransaction, error) {
	err := w.step("prepare ref", func() error {
		if w.locked {
			return errors.New("ref is locked")
		}
		if w.ref != u.Old {
			return deploy.Reject(deploy.CodeStale, "ref is %s", w.ref)
		}
		w.locked = true
		return nil
	})
	return &refTx{w: w, update: u}, err
}

type refTx struct {
	w      *process
	update deploy.RefUpdate
	done   bool
}

func (tx *refTx) Commit(context.Context) error {
	return tx.w.step("commit ref", func() error {
		tx.w.ref, tx.w.locked, tx.done = tx.update.New, false, true
		return nil
	})
}

func (tx *refTx) Abort() error {
	if !tx.done {
		tx.done = true
		tx.w.mu.Lock()
		defer tx.w.mu.Unlock()
		tx.w.locked = false
	}
	return nil
}

// Trees, builder and runner.

func (w *process) Checkout(_ context.Context, job *deploy.Job) ([]string, error) {
	if err := os.MkdirAll(job.Tree, 0o755); err != nil {
		return nil, err
	}
	return w.notes, os.WriteFile(filepath.Join(job.Tree, "file"), []byte(job.Revision), 0o644)
}

func (w *process) Ahead(deploy.App, deploy.OID) {}

func (w *process) Read(_ context.Context, tree string) (*deploy.Manifest, error) {
	if _, err := os.Stat(tree); err != nil {
		return nil, err
	}
	if filepath.Base(filepath.Dir(tree)) == "releases" {
		return nil, errors.New("whoever was tested may have written to this tree")
	}
	m := w.manifest
	return &m, nil
}

func (w *process) Build(_ context.Context, _ *deploy.Job, log io.Writer) error {
	fmt.Fprintln(log, "building")
	return w.step("build", func() error { return nil })
}

func (w *process) Test(ctx context.Context, _ *deploy.Job, set deploy.TestSet, log io.Writer) error {
	fmt.Fprintln(log, "testing", set.Name)
	if err := w.step("test "+set.Name, func() error { return nil }); err != nil {
		return err
	}
	return ctx.Err()
}

func (w *process) Run(_ context.Context, _ *deploy.Job, name string, _ deploy.Step, _ map[string]string, _ io.Writer) error {
	return w.step("hook "+name, func() error { return nil })
}

func (w *process) End(context.Context, deploy.Number) error { return nil }

func (w *process) EndAll(context.Context) error {
	return w.step("end all", func() error { return nil })
}

// The engines.

type local struct{ *process }

func (w local) Start(_ context.Context, job *deploy.Job, _ io.Writer) (deploy.Candidate, error) {
	err := w.step("start", func() error {
		dir := w.layout.Release(job.App.Name, job.Number)
		w.started[job.Number] = true
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		return os.Rename(job.Tree, dir)
	})
	return deploy.Candidate{Release: deploy.Release{App: job.App.Name, Number: job.Number}}, err
}

func (w local) Switch(_ context.Context, _ deploy.Target, _, to deploy.Number) error {
	return w.step(fmt.Sprintf("switch %d", to), func() error {
		if to != 0 {
			w.started[to] = true
		}
		w.traffic = to
		return nil
	})
}

func (w local) Stop(ctx context.Context, _ deploy.Target, n deploy.Number, _ time.Duration) error {
	if w.stopping != nil {
		if err := w.stopping(ctx, n); err != nil {
			return err
		}
	}
	return w.step("stop", func() error {
		delete(w.started, n)
		return nil
	})
}

func (w local) Serving(context.Context, deploy.Target) (deploy.Number, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.traffic, w.fail["serving"]
}

type elsewhere struct{}

func (elsewhere) Start(context.Context, *deploy.Job, io.Writer) (deploy.Candidate, error) {
	return deploy.Candidate{}, errors.New("not in this test")
}
func (elsewhere) Switch(context.Context, deploy.Target, deploy.Number, deploy.Number) error {
	return nil
}
func (elsewhere) Stop(context.Context, deploy.Target, deploy.Number, time.Duration) error {
	return nil
}
func (elsewhere) Serving(context.Context, deploy.Target) (deploy.Number, error) { return 0, nil }

// Releases and watcher.

func (w *process) MarkCurrent(_ deploy.AppName, n deploy.Number) error {
	return w.step("mark current", func() error {
		w.current = n
		return nil
	})
}

func (w *process) Prune(_ context.Context, _ deploy.AppName, keep []deploy.Number, _ int, about func(deploy.Number) error) error {
	w.mu.Lock()
	w.spared = append(w.spared, keep)
	w.mu.Unlock()
	for _, n := range w.prunable {
		if err := about(n); err != nil {
			return err
		}
		w.pruned = append(w.pruned, n)
	}
	return nil
}

func (w *process) Remove(app deploy.AppName, n deploy.Number) error {
	return w.step("remove", func() error { return os.RemoveAll(w.layout.Release(app, n)) })
}

func (w *process) Unkept(_ context.Context, _ deploy.Target, n deploy.Number) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.started[n], nil
}

func (w *process) Restore(_ context.Context, _ deploy.Target, n deploy.Number) error {
	return w.step("restore", func() error {
		if n != 0 {
			w.started[n] = true
		}
		w.traffic = n
		return nil
	})
}

func (w *process) Sweep(_ context.Context, _ deploy.Target, keep ...deploy.Number) error {
	return w.step("sweep", func() error {
		for n := range w.started {
			if !slices.Contains(keep, n) {
				delete(w.started, n)
			}
		}
		return nil
	})
}

func (w *process) Watch(_ context.Context, _ deploy.Candidate, _ *deploy.Manifest, _ bool, report func(deploy.Measurement)) (deploy.WatchResult, error) {
	report(deploy.Measurement{Probe: "200 in 1 ms"})
	var verdict deploy.WatchResult
	err := w.step("watch", func() error {
		verdict = w.verdict
		return nil
	})
	return verdict, err
}

// revision is a commit of a history that is one line of hexadecimal digits: each descends from all
// smaller ones, but for those listed as forks.
type revision struct {
	oid  deploy.OID
	fork bool
	file string
}

func (r revision) Checkout(_ context.Context, dir string) error {
	return os.WriteFile(filepath.Join(dir, "file"), []byte(r.oid), 0o644)
}

func (r revision) DescendsFrom(_ context.Context, a deploy.OID) (bool, error) {
	return a.IsZero() || r.oid == a || !r.fork && r.oid > a, nil
}

func (r revision) ReadFile(context.Context, string, int64) ([]byte, error) {
	if r.file == "" {
		return nil, os.ErrNotExist
	}
	return []byte(r.file), nil
}

func oid(n int) deploy.OID { return deploy.OID(fmt.Sprintf("%040x", n)) }

func offer(n int, options ...string) deploy.Offer {
	return deploy.Offer{
		App: "shop", Update: deploy.RefUpdate{Ref: "refs/heads/main", New: oid(n)},
		Pusher: deploy.Pusher{User: "alice"}, Options: options,
		Commit: deploy.Commit{Subject: "Fix cart total"}, Revision: revision{oid: oid(n)},
	}
}

func (w *world) types() []deploy.EventType {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []deploy.EventType
	for _, e := range w.events {
		all = append(all, e.Type)
	}
	return all
}
