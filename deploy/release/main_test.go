package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/keeper"
	"slipway/deploy/sandbox"
	"slipway/deploy/variables"
)

// TestMain makes this test binary the keeper of the instances that the tests start, and a server to be
// killed; otherwise it builds the app that they release.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // for the re-executed ones
	if len(os.Args) > 3 {
		switch os.Args[1] {
		case "keeper":
			keeperMain(os.Args[2], os.Args[3], os.Args[4])
		case "server":
			serverMain(os.Args[2], os.Args[3], os.Args[4])
		}
	}
	dir, err := os.MkdirTemp("", "release-test-")
	if err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "app"), "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	os.Setenv("TEST_APP", filepath.Join(dir, "app"))
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func keeperMain(mode, group, dir string) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := KeeperMain(ctx, dir, box(mode, group), variables.New(deploy.LayoutOf(dir)).Open, logger); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func box(mode, group string) *sandbox.Sandbox {
	return sandbox.New(sandbox.Config{Mode: sandbox.Mode(mode), Group: group})
}

// bench is an engine with a router of its own in a data directory of its own.
type bench struct {
	testing.TB
	*Local
	router *fakeRouter
	layout deploy.Layout
	target deploy.Target
	group  string
}

func newBench(t testing.TB) *bench { return newBenchIn(t, sandbox.ModeBubblewrap) }

func newBenchIn(t testing.TB, mode sandbox.Mode) *bench {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{root, filepath.Dir(root)} { // the app's user has to get there
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	group := fmt.Sprintf("slipway-test-%d-%s-%s", os.Getpid(), filepath.Base(filepath.Dir(root)), filepath.Base(root))
	b := &bench{
		TB: t, router: &fakeRouter{routed: make(map[deploy.AppName]deploy.Number)},
		layout: deploy.Layout(root), target: deploy.Target{App: "shop", Environment: deploy.Production}, group: group,
	}
	b.Local = engine(b.layout, mode, group, b.router)
	if mode != sandbox.ModeNone {
		if err := b.config.Sandbox.Check(t.Context()); err != nil {
			t.Skip("no sandbox can be had here: ", err)
		}
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := b.Sweep(ctx, b.target); err != nil {
			t.Error(err)
		}
		if names, err := b.config.Sandbox.Names(); err != nil || len(names) > 0 {
			t.Errorf("sandboxes left behind: %v, %v", names, err)
		}
		for _, pattern := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/", "/sys/fs/cgroup/*/*/"} {
			groups, _ := filepath.Glob(pattern + group)
			for _, dir := range groups {
				os.Remove(dir)
			}
		}
	})
	return b
}

func engine(layout deploy.Layout, mode sandbox.Mode, group string, router Router) *Local {
	return NewLocal(Config{
		Layout: layout, Sandbox: box(string(mode), group), Router: router,
		KeeperArgv: []string{os.Args[0], "keeper", string(mode), group},
		Variables:  variables.New(layout),
		Settle:     100 * time.Millisecond, Grace: 5 * time.Second,
	})
}

// set makes vars the variables of the app.
func (b *bench) set(vars map[string]string) {
	b.Helper()
	var all deploy.Variables
	for name, value := range vars {
		all = append(all, deploy.Variable{Name: name, Value: value})
	}
	if err := os.MkdirAll(b.layout.App(b.target.App), 0o755); err != nil {
		b.Fatal(err)
	}
	replace := func(deploy.Variables) (deploy.Variables, error) { return all, nil }
	record := func(context.Context) error { return nil }
	if err := variables.New(b.layout).Change(b.Context(), b.target.App, replace, record); err != nil {
		b.Fatal(err)
	}
}

// revisionOf makes up the revision of deployment n.
func revisionOf(n deploy.Number) deploy.OID {
	return deploy.OID(fmt.Sprintf("%040x", int64(0xabc0000+n)))
}

// job makes a job whose tree holds the app and whose web process runs it with args.
func (b *bench) job(n deploy.Number, args string, change ...func(*deploy.Manifest)) *deploy.Job {
	b.Helper()
	tree := b.layout.Work(b.target.App, n)
	if err := os.MkdirAll(tree, 0o755); err != nil {
		b.Fatal(err)
	}
	app, err := os.ReadFile(os.Getenv("TEST_APP"))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "app"), app, 0o755); err != nil {
		b.Fatal(err)
	}
	m := &deploy.Manifest{
		Processes: []deploy.Process{{Name: deploy.WebProcess, Run: strings.TrimSpace("./app " + args)}},
		Deploy:    deploy.DeployPlan{ReadyTimeout: 10 * time.Second, DrainTimeout: time.Second},
	}
	for _, c := range change {
		c(m)
	}
	return &deploy.Job{
		Number: n, App: deploy.App{Name: b.target.App, ID: 1}, Revision: revisionOf(n), Manifest: m, Tree: tree,
	}
}

// started starts a job and fails the test if that fails.
func (b *bench) started(job *deploy.Job) deploy.Candidate {
	b.Helper()
	var log bytes.Buffer
	c, err := b.Start(b.Context(), job, &log)
	if err != nil {
		b.Fatalf("starting release %s: %v\n%s\n%v", job.Number, err, log.String(), tailOf(err))
	}
	return c
}

// rejected starts a job that must be rejected, and checks that nothing of it is left.
func (b *bench) rejected(job *deploy.Job) *deploy.Rejection {
	b.Helper()
	_, err := b.Start(b.Context(), job, io.Discard)
	r, ok := deploy.AsRejection(err)
	if !ok {
		b.Fatalf("starting release %s: %v, want a rejection", job.Number, err)
	}
	b.nothingOf(job.Number)
	if _, err := os.Lstat(filepath.Join(job.Tree, "app")); err != nil || job.Tree != b.layout.Work(job.App.Name, job.Number) {
		b.Errorf("the work tree is not in its place: %s, %v", job.Tree, err)
	}
	return r
}

// nothingOf checks that release n has no instance, no directory, no plan and no process.
func (b *bench) nothingOf(n deploy.Number) {
	b.Helper()
	for _, pattern := range []string{b.layout.Release(b.target.App, n) + "*", filepath.Join(b.layout.Instances(b.target.App), n.String()+"*")} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			b.Errorf("left behind: %q", left)
		}
	}
	if names, _ := b.config.Sandbox.Names(); slices.ContainsFunc(names, func(s string) bool { return strings.HasPrefix(s, sandboxPrefix(b.target.App, n)) }) {
		b.Errorf("still running: %q", names)
	}
}

func tailOf(err error) string {
	if r, ok := deploy.AsRejection(err); ok {
		return strings.Join(r.Tail, "\n")
	}
	return ""
}

// get asks an instance, and returns "" if it does not answer.
func get(i deploy.Instance, path string) string {
	resp, err := probeClient().Get("http://" + i.Addr + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s", resp.StatusCode, body)
	}
	return string(body)
}

func (b *bench) inspect(i deploy.Instance) deploy.InstanceState {
	b.Helper()
	s, err := b.Inspect(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (b *bench) status(i deploy.Instance) keeper.Status {
	b.Helper()
	s, err := statusOf(b.Context(), b.folder(i.App, i.Release, i.Process, i.Index))
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// eventually fails the test unless done says yes within ten seconds.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("never seen: ", what)
		}
	}
}

// fakeRouter remembers where it was told to route, and fails on request.
type fakeRouter struct {
	mu        sync.Mutex
	routed    map[deploy.AppName]deploy.Number
	upstreams []deploy.Instance
	drained   []deploy.Number
	fail      error
}

func (r *fakeRouter) Route(_ context.Context, app deploy.AppName, n deploy.Number, up []deploy.Instance) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.routed[app], r.upstreams = n, up
	if len(up) == 0 {
		r.routed[app] = 0 // as the real one: nobody gets requests
	}
	return nil
}

func (r *fakeRouter) Routed(_ context.Context, app deploy.AppName) (deploy.Number, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routed[app], nil
}

func (r *fakeRouter) Drain(_ context.Context, _ deploy.AppName, n deploy.Number, _ time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drained = append(r.drained, n)
	return errors.Join(r.fail)
}
