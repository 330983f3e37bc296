package release

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

// The two engines do the same things in different places.
type engineMethods interface {
	Start(context.Context, *deploy.Job, io.Writer) (deploy.Candidate, error)
	Switch(ctx context.Context, t deploy.Target, from, to deploy.Number) error
	Stop(context.Context, deploy.Target, deploy.Number, time.Duration) error
	Serving(context.Context, deploy.Target) (deploy.Number, error)
	Instances(context.Context, deploy.Target, deploy.Number) ([]deploy.Instance, error)
	MarkCurrent(deploy.AppName, deploy.Number) error
	Prune(context.Context, deploy.AppName, []deploy.Number, int, func(deploy.Number) error) error
	Sweep(context.Context, deploy.Target, ...deploy.Number) error
	Restart(context.Context, deploy.Target) error
	Restore(context.Context, deploy.Target, deploy.Number) error
}

var (
	_ engineMethods = (*Local)(nil)
	_ engineMethods = (*External)(nil)
)

// Two releases follow each other, and one goes back again: this is what a deployment asks for.
func TestStory(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.ModeBubblewrap, sandbox.ModeNone} {
		t.Run(string(mode), func(t *testing.T) { story(newBenchIn(t, mode)) })
	}
}

func story(b *bench) {
	ctx := b.Context()
	one := b.started(b.job(1, "-up 204"))
	if err := b.Switch(ctx, b.target, 0, 1); err != nil {
		b.Fatal(err)
	}
	if err := b.MarkCurrent("shop", 1); err != nil {
		b.Fatal(err)
	}
	if got := get(one.Instances[0], "/"); got != string(revisionOf(1))+"\n<nil>" {
		b.Errorf("release 1 answers %q", got)
	}

	// Side by side until the old one is stopped.
	two := b.started(b.job(2, ""))
	if n, err := b.Serving(ctx, b.target); n != 1 || err != nil {
		b.Errorf("serving %s, %v before the switch", n, err)
	}
	if err := b.Switch(ctx, b.target, 1, 2); err != nil {
		b.Fatal(err)
	}
	if got := get(one.Instances[0], "/") + get(two.Instances[0], "/"); !strings.Contains(got, string(revisionOf(1))) || !strings.Contains(got, string(revisionOf(2))) {
		b.Errorf("side by side they answer %q", got)
	}
	if err := b.Stop(ctx, b.target, 2, time.Second); err == nil {
		b.Error("the release that serves was stopped")
	}
	if err := b.Stop(ctx, b.target, 1, time.Second); err != nil {
		b.Fatal(err)
	}
	if !slices.Equal(b.router.drained, []deploy.Number{1}) {
		b.Errorf("drained %v", b.router.drained)
	}
	if got := get(one.Instances[0], "/"); got != "" {
		b.Errorf("release 1 was stopped and answers %q", got)
	}
	if said, err := os.ReadFile(filepath.Join(b.layout.Deployment(1), "web.1.log")); err != nil || string(said) != "app starts\napp was asked to end\n" {
		b.Errorf("release 1 said last: %q, %v", said, err)
	}
	if err := b.Stop(ctx, b.target, 1, time.Second); err != nil {
		b.Errorf("stopping it again: %v", err)
	}

	// Back to a release that was stopped: it is started from what was kept of it.
	if err := b.Switch(ctx, b.target, 2, 1); err != nil {
		b.Fatal(err)
	}
	back, err := b.Instances(ctx, b.target, 1)
	if err != nil || len(back) != 1 || !strings.HasPrefix(get(back[0], "/"), string(revisionOf(1))) {
		b.Errorf("after going back: %v, %v", back, err)
	}
	if !slices.Equal(b.router.upstreams, back) {
		b.Errorf("routed to %v", b.router.upstreams)
	}

	// To nothing.
	if err := b.Switch(ctx, b.target, 1, 0); err != nil {
		b.Fatal(err)
	}
	if n, err := b.Serving(ctx, b.target); n != 0 || err != nil {
		b.Errorf("serving %s, %v", n, err)
	}
}

func TestSurroundings(t *testing.T) {
	b := newBench(t)
	job := b.job(3, "", func(m *deploy.Manifest) {
		m.Processes[0].Env = map[string]string{"A": "manifest", "B": "manifest", "SLIPWAY_APP": "forged"}
	})
	b.set(map[string]string{"A": "operator", "QUOTED": "two\nlines", "SPACED": "as is "})
	i := b.started(job).Instances[0]
	_, port, _ := strings.Cut(i.Addr, ":")
	for name, want := range map[string]string{
		"A": "operator", "B": "manifest", "QUOTED": "two\nlines", "SPACED": "as is ",
		"SLIPWAY_APP": "shop", "SLIPWAY_REVISION": string(revisionOf(3)), "SLIPWAY_DEPLOYMENT": "3",
		"SLIPWAY_STORAGE": "/storage", "HOME": "/tmp", "PORT": port, "PWD": "/app",
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TEST_APP": "",
	} {
		if got := get(i, "/env/"+name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestInspect(t *testing.T) {
	b := newBench(t)
	i := b.started(b.job(1, "")).Instances[0]
	s := b.inspect(i)
	if !s.Running || !s.Listening || s.PID == 0 || s.Restarts != 0 || s.Memory == 0 || time.Since(s.StartedAt) > time.Minute {
		t.Errorf("%+v", s)
	}
	if s.Dir != b.layout.Release("shop", 1) {
		t.Errorf("served from %q", s.Dir)
	}
	if said, err := os.ReadFile(s.LogPath); err != nil || string(said) != "app starts\n" {
		t.Errorf("it said %q, %v", said, err)
	}
	get(i, "/exit")
	eventually(t, "its restart", func() bool { s = b.inspect(i); return s.Restarts == 1 && s.Listening })
	if s.LastExit != "exit status 5" || !s.Running {
		t.Errorf("after a crash: %+v", s)
	}
	if err := b.status(i).Keeper.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return get(i, "/") == "" })
	if s = b.inspect(i); s.Running || s.Listening {
		t.Errorf("after its keeper was killed: %+v", s)
	}
	if _, err := b.Inspect(t.Context(), deploy.Instance{App: "shop", Release: 9, Process: "web", Index: 1}); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("an unknown instance: %v", err)
	}
}

// A killed keeper takes the instance along; Switch, and Restore after a reboot, start it again.
func TestKilledKeeper(t *testing.T) {
	b := newBench(t)
	i := b.started(b.job(1, "")).Instances[0]
	for _, again := range []func() error{
		func() error { return b.Switch(t.Context(), b.target, 0, 1) },
		func() error { return b.Restore(t.Context(), b.target, 1) },
	} {
		before := b.status(i)
		if err := before.Keeper.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the instance's end", func() bool { return !before.Child.Alive() && get(i, "/up") == "" })
		if err := again(); err != nil {
			t.Fatal(err)
		}
		now := b.status(i)
		if now.Child == before.Child || !now.Running || now.Trial || b.router.routed["shop"] != 1 {
			t.Errorf("before %+v, now %+v", before, now)
		}
		if got := get(i, "/up"); got != "" {
			t.Errorf("/up answers %q", got)
		}
	}
}

// Going back to what still runs, traffic goes there even if it is not well: the error tells.
func TestGoingBackToTheUnwell(t *testing.T) {
	b := newBench(t)
	sick := func(m *deploy.Manifest) {
		m.Processes[0].Run = "./app -sick /storage/sick"
		m.Deploy.ReadyTimeout = time.Second
	}
	b.started(b.job(1, "", sick))
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	b.started(b.job(2, ""))
	if err := b.Switch(t.Context(), b.target, 1, 2); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.layout.Storage("shop"), "sick"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := b.Switch(t.Context(), b.target, 2, 1)
	if err == nil || !strings.Contains(err.Error(), "release 1 did not become ready within 1s: GET /up answered 500") {
		t.Errorf("got %v", err)
	}
	if n, _ := b.Serving(t.Context(), b.target); n != 1 {
		t.Errorf("serving %s", n)
	}
	// Forward it does not go.
	b.started(b.job(3, ""))
	if err := b.Switch(t.Context(), b.target, 1, 3); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context(), b.target, 1, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Switch(t.Context(), b.target, 3, 1); err == nil {
		t.Error("switched to what has to be started and does not become ready")
	}
	if n, _ := b.Serving(t.Context(), b.target); n != 3 {
		t.Errorf("serving %s", n)
	}
}

// sickening is a router whose first visitors bring the app down.
type sickening struct {
	*fakeRouter
	file string
}

func (r sickening) Route(ctx context.Context, app deploy.AppName, n deploy.Number, to []deploy.Instance) error {
	if err := os.WriteFile(r.file, nil, 0o644); err != nil {
		return err
	}
	return r.fakeRouter.Route(ctx, app, n, to)
}

// A release that was ready, and is not any more when it gets traffic, is the pusher's to mend.
func TestSickWithTraffic(t *testing.T) {
	b := newBench(t)
	b.Local = engine(b.layout, sandbox.ModeBubblewrap, b.group, sickening{b.router, filepath.Join(b.layout.Storage("shop"), "sick")})
	b.started(b.job(1, "", func(m *deploy.Manifest) { m.Processes[0].Run = "./app -sick /storage/sick" }))
	err := b.Switch(t.Context(), b.target, 0, 1)
	if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeSwitch {
		t.Errorf("got %v", err)
	}
}

// What served once is started again and again, even if it is not ready at once.
func TestRestoreKeepsTrying(t *testing.T) {
	b := newBench(t)
	i := b.started(b.job(1, "-crash /storage/crash")).Instances[0]
	if err := b.status(i).Keeper.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the instance's end", func() bool { return get(i, "/") == "" })
	crash := filepath.Join(b.layout.Storage("shop"), "crash")
	if err := os.WriteFile(crash, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := b.Restore(t.Context(), b.target, 1)
	if r, ok := deploy.AsRejection(err); !ok || r.Message != "process web exited with exit status 7 before it was ready" {
		t.Errorf("Restore: %v", err)
	}
	if n, _ := b.Serving(t.Context(), b.target); n != 1 {
		t.Errorf("serving %s", n)
	}
	if err := os.Remove(crash); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the app's return", func() bool { return strings.HasPrefix(get(i, "/"), string(revisionOf(1))) })
}

// killing kills an instance's process when it is asked for the first time.
type killing struct {
	http.RoundTripper
	once *sync.Once
	kill func()
}

func (k killing) RoundTrip(r *http.Request) (*http.Response, error) {
	k.once.Do(k.kill)
	return k.RoundTripper.RoundTrip(r)
}

// Going back does not fail because what served well is killed at that moment: its keeper brings it back.
func TestKilledWhileGoingBack(t *testing.T) {
	b := newBench(t)
	i := b.started(b.job(1, "")).Instances[0]
	first := b.status(i).Child
	b.client.Transport = killing{b.client.Transport, new(sync.Once), func() {
		if err := first.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		eventually(t, "the process's end", func() bool { return !first.Alive() })
	}}
	if err := b.Switch(t.Context(), b.target, 2, 1); err != nil {
		t.Error(err)
	}
	if now := b.status(i); now.Child == first || get(i, "/") == "" {
		t.Errorf("%+v", now)
	}
}

func TestRestart(t *testing.T) {
	b := newBench(t)
	old := b.started(b.job(1, "")).Instances[0]
	if err := b.Restart(t.Context(), b.target); err != nil {
		t.Fatal("nothing serves: ", err)
	}
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	b.set(map[string]string{"NEW": "yes"})
	if err := b.Restart(t.Context(), b.target); err != nil {
		t.Fatal(err)
	}
	now, err := b.Instances(t.Context(), b.target, 1)
	if err != nil || len(now) != 1 || now[0].Index != 2 || get(now[0], "/env/NEW") != "yes" || !slices.Equal(b.router.upstreams, now) {
		t.Errorf("now %+v, %v; routed to %v", now, err, b.router.upstreams)
	}
	if got := get(old, "/env/NEW"); got != "" && old.Addr != now[0].Addr {
		t.Errorf("the old one answers %q", got)
	}

	// A restart that fails leaves the old one serving.
	if err := os.WriteFile(b.layout.Env("shop"), []byte("broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Restart(t.Context(), b.target); err == nil || !strings.Contains(err.Error(), "it is not encrypted by Slipway") {
		t.Errorf("with a broken file: %v", err)
	}
	if get(now[0], "/env/NEW") != "yes" {
		t.Error("it does not serve any more")
	}
}

// A release without a web process serves, too, though no router can tell.
func TestNoTraffic(t *testing.T) {
	b := newBench(t)
	worker := func(m *deploy.Manifest) { m.Processes = []deploy.Process{{Name: "worker", Run: "sleep 1000"}} }
	b.started(b.job(1, "", worker))
	b.started(b.job(2, "", worker))
	b.started(b.job(3, ""))
	last := deploy.Number(0)
	for _, n := range []deploy.Number{1, 2, 3, 2, 0} {
		if err := b.Switch(t.Context(), b.target, last, n); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Serving(t.Context(), b.target); got != n || err != nil {
			t.Errorf("serving %s, %v, want %s", got, err, n)
		}
		if n == 2 {
			if err := b.Stop(t.Context(), b.target, 2, 0); err == nil {
				t.Error("what serves was stopped")
			}
		}
		last = n
	}
}

func TestReleaseCommand(t *testing.T) {
	b := newBench(t)
	var log strings.Builder
	job := b.job(1, "", func(m *deploy.Manifest) {
		m.Deploy.Release.Commands = []string{"echo migrating $SECRET > $SLIPWAY_STORAGE/db", "touch x 2>/dev/null || echo the release is read-only", "echo leaks $SECRET"}
	})
	b.set(map[string]string{"SECRET": "s3cret"})
	if _, err := b.Start(t.Context(), job, &log); err != nil {
		t.Fatal(err)
	}
	if db, err := os.ReadFile(filepath.Join(b.layout.Storage("shop"), "db")); string(db) != "migrating s3cret\n" || err != nil {
		t.Errorf("it wrote %q, %v", db, err)
	}
	for _, want := range []string{"$ echo migrating $SECRET > $SLIPWAY_STORAGE/db\n", "the release is read-only\n", "leaks [SECRET]\n", "process web is ready at 127.0.0.1:"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &log)
		}
	}
	r := b.rejected(b.job(2, "", func(m *deploy.Manifest) {
		m.Deploy.Release.Commands = []string{"echo no such table >&2; exit 3", "echo never"}
	}))
	if r.Code != deploy.CodeRelease || r.Message != "release command failed (exit status 3)" || !slices.Equal(r.Tail, []string{"$ echo no such table >&2; exit 3", "no such table"}) {
		t.Errorf("%+v", r)
	}
	r = b.rejected(b.job(3, "", func(m *deploy.Manifest) {
		m.Deploy.Release = deploy.Step{Commands: []string{"sleep 1000"}, Limits: deploy.Limits{Timeout: 100 * time.Millisecond}}
	}))
	if r.Code != deploy.CodeLimit || r.Message != "release command failed (time limit of 100ms reached; all its processes were ended)" || r.Line != "release command failed (time limit of 100ms reached)" {
		t.Errorf("%+v", r)
	}
}
