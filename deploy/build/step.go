package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/deploy"
	"slipway/deploy/build/inner"
	"slipway/deploy/mask"
	"slipway/deploy/owner"
	"slipway/deploy/sandbox"
)

// step is one run of commands in the sandbox.
type step struct {
	deploy.Step
	words    words
	name     string                                   // in the sandbox's name
	vars     map[string]string                        // over the step's own environment
	shared   func(deploy.Variables) map[string]string // of the app's variables; nil for none
	readOnly bool                                     // the tree, without cache folders over it
	scratch  bool                                     // what it writes to the tree is not kept
	storage  bool                                     // the app's storage is mounted
	network  bool
	hosts    []string        // reached through the egress proxy
	app      *deploy.Process // runs beside the commands
	appLog   string          // file of its output
}

// run runs a step to its end and judges it.
func (b *Builder) run(ctx context.Context, job *deploy.Job, s *step, log io.Writer) error {
	if len(s.Commands) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("running %s: %w", s.name, err)
	}
	if n := len(script(s.Commands)); n > maxScript {
		return deploy.Reject(deploy.CodeManifest, "the commands of %s are too long (%s): put them into a script of the tree", s.words.line, size(int64(n)))
	}
	vars, err := b.variables(ctx, job.App.Name)
	if err != nil {
		return err
	}
	s.share(vars)
	a := &attempt{Builder: b, job: job, step: s, mask: mask.New(vars.All()), out: newOutput(log, b.config.MaxLog)}
	err = a.prepare()
	if err == nil {
		err = a.start(ctx)
	}
	if closed := a.close(); err == nil {
		err = closed
	}
	return err
}

// attempt is a step being run, with what has to be closed after it.
type attempt struct {
	*Builder
	job  *deploy.Job
	step *step
	mask *mask.Mask
	out  *output

	mounts  []sandbox.Mount
	cache   cache
	private string // folder of sockets; "" for none
	closers []func() error
	app     *output // of the app beside it; nil for none
	report  *reportListener
	plan    inner.Plan
	bin     string // goes before PATH; "" for nothing
}

// prepare makes everything that the step is to find.
func (a *attempt) prepare() error {
	uid, gid := a.config.Sandbox.HostID(a.job.App.ID)
	a.cache = cache{dir: a.config.Layout.Cache(a.job.App.Name), uid: uid, gid: gid}
	if err := a.own(uid, gid); err != nil {
		return err
	}
	a.mount(a.job.Tree, "/app", !a.step.readOnly)
	if a.step.scratch {
		a.mounts[0].Scratch = a.scratch()
	}
	a.mount(a.cache.home(), "/cache", true)
	if err := a.mountCache(); err != nil {
		return err
	}
	if a.step.storage {
		dir := a.config.Layout.Storage(a.job.App.Name)
		if err := a.cache.make(dir); err != nil {
			return err
		}
		a.mount(dir, "/storage", true)
	}
	if !a.step.network && a.step.app == nil {
		return nil
	}
	return a.prepareInner(uid, gid)
}

// own gives the tree and the cache to the sandbox's user. One step after the other, so that none
// walks a tree in which another runs already: then it belongs to that user.
func (a *attempt) own(uid, gid int) error {
	a.owning.Lock()
	defer a.owning.Unlock()
	if !a.released() {
		if err := owner.Give(a.job.Tree, uid, gid); err != nil {
			return err
		}
	}
	return a.cache.prepare()
}

// released tells whether the tree is a release directory already, whose owner is not ours to change.
func (a *attempt) released() bool {
	return filepath.Dir(a.job.Tree) == a.config.Layout.Releases(a.job.App.Name)
}

// scratch is where a test set's writes go.
func (a *attempt) scratch() string {
	return a.config.Layout.Scratch(a.job.App.Name, a.job.Number, a.step.name)
}

// tree is the folder that the step works in and whose growth counts.
func (a *attempt) tree() (dir, grows string) {
	if a.step.scratch {
		return a.config.Sandbox.Path(sandbox.View(a.scratch()), "/app"), a.scratch()
	}
	return a.config.Sandbox.Path(a.job.Tree, "/app"), a.job.Tree
}

func (a *attempt) mount(source, target string, writable bool) {
	a.mounts = append(a.mounts, sandbox.Mount{Source: source, Target: target, Writable: writable})
}

// mountCache mounts the manifest's cache folders over those of the tree.
func (a *attempt) mountCache() error {
	if len(a.step.Cache) == 0 || a.step.readOnly {
		return nil
	}
	if !a.config.Sandbox.Inside() {
		a.out.note("cache folders are not kept without a sandbox")
		return nil
	}
	mounted, occupied, err := a.cache.places(a.job.Tree, a.step.Cache, !a.step.scratch)
	if err != nil {
		return err
	}
	if a.step.words.code == deploy.CodeBuild {
		a.out.note("kept for the next build, and not part of the release: %s", strings.Join(mounted, ", "))
	}
	for _, name := range occupied {
		a.out.note("cache folder %s hides what the revision has there", name)
	}
	for _, name := range mounted {
		a.mount(a.cache.folder(name), "/app/"+name, true)
	}
	return nil
}

// start runs the prepared step and judges its end.
func (a *attempt) start(ctx context.Context) error {
	out, app := a.mask.Writer(a.out), a.mask.Writer(a.app)
	stdio := sandbox.Stdio{Out: out, Err: out}
	if a.app != nil {
		stdio.Err = app
	}
	process, err := a.config.Sandbox.Start(ctx, a.spec(), stdio)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("starting %s: %w", a.step.name, err)
	}
	result, err := process.Wait()
	_, _ = out.Close(), app.Close() // an output never fails
	if ctx.Err() != nil {
		return fmt.Errorf("running %s: %w", a.step.name, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", a.step.name, err)
	}
	return a.judge(result)
}

func (a *attempt) spec() sandbox.Spec {
	argv := shell(a.step.Commands)
	if a.private != "" {
		argv = append(a.innerArgv(), a.plan.Args(argv)...)
	}
	dir, grows := a.tree()
	return sandbox.Spec{
		Name:    sandboxName(a.job.Number, a.step.name),
		ID:      a.job.App.ID,
		Argv:    argv,
		Env:     a.environment(a.step.Env, a.step.vars),
		Dir:     dir,
		Mounts:  a.mounts,
		Limits:  limits(a.step.Limits, a.config.Defaults),
		Watched: []string{grows, a.cache.dir},
	}
}

func (a *attempt) environment(more ...map[string]string) []string {
	if a.step.storage {
		storage := a.config.Sandbox.Path(a.config.Layout.Storage(a.job.App.Name), "/storage")
		more = append([]map[string]string{{"SLIPWAY_STORAGE": storage}}, more...)
	}
	path := a.config.Path
	if a.bin != "" {
		path = a.bin + ":" + path
	}
	return environment(a.job, path, a.config.Sandbox.Path(a.cache.home(), "/cache"), more...)
}

// judge says what an end means.
func (a *attempt) judge(r sandbox.Result) error {
	said := a.said()
	tail := a.out.Lines()
	switch {
	case r.Err() == nil:
		a.noteSuccess(r, said)
		return nil
	case said.Fault != "" && r.Struck == "":
		return fmt.Errorf("running %s: inside the sandbox: %s", a.step.name, said.Fault)
	case said.NotReady != "":
		a.out.note("%s", said.NotReady)
		return a.step.words.notReady(said.NotReady, a.step.appLog, a.app.Lines())
	case a.app != nil && len(tail) == 0: // the limit struck before the set began
		tail = a.app.Lines()
	case said.AppExit != "":
		tail = withApp(tail, a.app.Lines(), said.AppExit)
	}
	if silent := a.out.Silent(); len(silent) > 0 && r.Struck == "" {
		return a.step.words.letDown(r, silent, tail)
	}
	return a.step.words.failed(ending{result: r, network: a.step.network, refused: a.out.Refused(), tail: tail})
}

// noteSuccess tells in the log what did not fail the step but may explain the next failure.
func (a *attempt) noteSuccess(r sandbox.Result, said inner.Report) {
	if r.Struck != "" {
		a.out.note("passed, although %s", r.Struck)
	}
	if said.AppExit != "" {
		a.out.note("passed, although the app ended meanwhile (%s); its output is in %s", said.AppExit, a.step.appLog)
	}
}

// said is what the program inside reported, made fit for a pusher's terminal: whatever ran inside can
// have forged it.
func (a *attempt) said() inner.Report {
	if a.report == nil {
		return inner.Report{}
	}
	r := a.report.wait()
	fit := func(s string) string { return oneLine(a.mask.String(s)) }
	return inner.Report{NotReady: fit(r.NotReady), AppExit: fit(r.AppExit), Fault: fit(r.Fault)}
}

// withApp adds the last lines of an app that ended while a set ran to those of the set, which then
// mostly says that it could not connect.
func withApp(set, app []string, how string) []string {
	const most = 8
	app = app[max(0, len(app)-most):]
	set = set[max(0, len(set)-(tailLines-1-len(app))):]
	return slices.Concat(set, []string{"the app ended while the set ran (" + how + "):"}, app)
}

// close undoes what prepare made and ends the logs.
func (a *attempt) close() error {
	var first error
	for i := len(a.closers) - 1; i >= 0; i-- {
		if err := a.closers[i](); err != nil && first == nil {
			first = err
		}
	}
	if err := a.out.finish(); err != nil && first == nil {
		first = err
	}
	return first
}

// openAppLog makes the app's log, a name below the deployment's folder and nowhere else.
func (a *attempt) openAppLog() error {
	dir := a.config.Layout.Deployment(a.job.Number)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the deployment's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, filepath.Base(a.step.appLog)), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("making the app's log: %w", err)
	}
	a.app = newOutput(f, a.config.MaxLog)
	a.closers = append(a.closers, f.Close, a.app.finish)
	return nil
}
