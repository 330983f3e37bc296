package build

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/sandbox"
	"slipway/deploy/sandbox/egress"
)

// A deployment's tree is built, tested side by side, and the build's cache is there for the next one.
func TestStory(t *testing.T) {
	w := newWorld(t)
	log, err := w.build("mkdir -p bin", "echo built by $SLIPWAY_APP $SLIPWAY_DEPLOYMENT $CI > bin/shop", "echo kept > $HOME/kept", "pwd")
	if err != nil {
		t.Fatal(err, log)
	}
	want := "$ mkdir -p bin\n$ echo built by $SLIPWAY_APP $SLIPWAY_DEPLOYMENT $CI > bin/shop\n$ echo kept > $HOME/kept\n$ pwd\n/app\n"
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	built, _ := os.ReadFile(filepath.Join(w.job.Tree, "bin", "shop"))
	if got, want := string(built), fmt.Sprintf("built by shop %d true\n", w.job.Number); got != want {
		t.Errorf("built %q, want %q", got, want)
	}

	// Two sets meet in the cache, so they run at the same time.
	meet := "touch /cache/%s; i=0; while [ ! -e /cache/%s ]; do i=$((i+1)); [ $i -lt 600 ]; sleep 0.05; done"
	var wg sync.WaitGroup
	for _, s := range [][2]string{{"one", "two"}, {"two", "one"}} {
		wg.Go(func() {
			if log, err := w.test(deploy.TestSet{Name: s[0]}, "cat bin/shop", fmt.Sprintf(meet, s[0], s[1])); err != nil {
				t.Error(s[0], err, log)
			}
		})
	}
	wg.Wait()

	w.job = w.newJob(nil)
	if log, err := w.build("cat /cache/kept"); err != nil || !strings.HasSuffix(log, "kept\n") {
		t.Errorf("next build: %v\n%s", err, log)
	}
}

func TestNothingToDo(t *testing.T) {
	w := newWorld(t)
	if log, err := w.build(); err != nil || log != "" {
		t.Errorf("%v, log %q", err, log)
	}
}

func TestCommandsThatAreTooLong(t *testing.T) {
	w := newWorld(t)
	_, err := w.build("echo "+strings.Repeat("x", 70000), "true")
	if r := w.rejection(err); r.Code != deploy.CodeManifest || r.Message != "the commands of build are too long (136.8 KiB): put them into a script of the tree" {
		t.Errorf("%+v", r)
	}
	if log, err := w.build("true " + strings.Repeat("x", 65000)); err != nil {
		t.Error(err, len(log))
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	_, err := w.build("echo compiling", "printf '\\033[31mmain.go:3: undefined: x\\033[0m\\n' >&2; exit 2", "echo no")
	want := &deploy.Rejection{
		Code: deploy.CodeBuild, Message: "build failed (exit status 2)", Line: "build failed",
		Tail: []string{
			"$ echo compiling", "compiling",
			`$ printf '\033[31mmain.go:3: undefined: x\033[0m\n' >&2; exit 2`, "main.go:3: undefined: x",
		},
	}
	if diff := cmp.Diff(want, w.rejection(err)); diff != "" {
		t.Errorf("build (-want +got):\n%s", diff)
	}
	_, err = w.test(deploy.TestSet{Name: "unit"}, "exit 1")
	want = &deploy.Rejection{
		Code: deploy.CodeTest, Message: `test set "unit" failed (exit status 1)`, Line: "test unit failed",
		Tail: []string{"$ exit 1"},
	}
	if diff := cmp.Diff(want, w.rejection(err)); diff != "" {
		t.Errorf("test (-want +got):\n%s", diff)
	}
}

func TestRun(t *testing.T) {
	w := newWorld(t)
	var log strings.Builder
	step := deploy.Step{Commands: []string{"echo $SLIPWAY_OUTCOME", "! touch /app/x", "! ls /storage", "exit 4"}}
	err := w.builder.Run(t.Context(), w.job, "before_deploy", step, map[string]string{"SLIPWAY_OUTCOME": "accepted"}, &log)
	r := w.rejection(err)
	if r.Code != deploy.CodeHook || r.Message != "hook before_deploy failed (exit status 1)" && r.Message != "hook before_deploy failed (exit status 4)" || r.Line != "hook before_deploy failed" {
		t.Errorf("%+v", r)
	}
	has(t, log.String(), "\naccepted\n")
}

func TestRelease(t *testing.T) {
	w := newWorld(t)
	step := deploy.Step{Commands: []string{"echo $SECRET > $SLIPWAY_STORAGE/schema"}}
	var log strings.Builder
	if err := w.builder.Run(t.Context(), w.job, "release", step, map[string]string{"SECRET": "s"}, &log); err != nil {
		t.Fatal(err, log.String())
	}
	if b, err := os.ReadFile(filepath.Join(w.layout.Storage("shop"), "schema")); string(b) != "s\n" {
		t.Errorf("storage holds %q, %v", b, err)
	}
	step.Commands = []string{"exit 1"}
	r := w.rejection(w.builder.Run(t.Context(), w.job, "release", step, nil, &log))
	if r.Code != deploy.CodeRelease || r.Message != "release command failed (exit status 1)" {
		t.Errorf("%+v", r)
	}
}

// A release directory keeps the owner that the release's maker gave it.
func TestRunLeavesAReleaseAlone(t *testing.T) {
	w := newWorld(t)
	release := w.layout.Release("shop", w.job.Number)
	if err := os.MkdirAll(release, 0o755); err != nil {
		t.Fatal(err)
	}
	w.job.Tree = release
	var log strings.Builder
	if err := w.builder.Run(t.Context(), w.job, "run", deploy.Step{Commands: []string{"ls /app"}, Cache: []string{"x"}}, nil, &log); err != nil {
		t.Fatal(err, log.String())
	}
	if got := ownerOf(t, release); got != os.Getuid() {
		t.Errorf("the release belongs to %d", got)
	}
}

// What keeps a step from running is our fault, not the pusher's.
func TestFault(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Sandbox = sandbox.New(sandbox.Config{Bubblewrap: "/nonexistent/bwrap"}) })
	_, err := w.build("true")
	if _, isRejection := deploy.AsRejection(err); err == nil || isRejection {
		t.Errorf("error %v", err)
	}
}

func TestFilesBelongToTheSandbox(t *testing.T) {
	w := newWorld(t)
	uid, _ := w.builder.config.Sandbox.HostID(7)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.job = w.newJob(map[string]string{"a/b": "x"})
	if err := os.Symlink(outside, filepath.Join(w.job.Tree, "link")); err != nil {
		t.Fatal(err)
	}
	if log, err := w.build("echo y > a/b"); err != nil {
		t.Fatal(err, log)
	}
	if got := ownerOf(t, filepath.Join(w.job.Tree, "a", "b")); got != uid {
		t.Errorf("a/b belongs to %d, want %d", got, uid)
	}
	if got := ownerOf(t, outside); got != os.Getuid() {
		t.Errorf("a file outside belongs to %d", got)
	}
}

func TestRead(t *testing.T) {
	w := newWorld(t)
	w.job = w.newJob(map[string]string{"slipway.toml": "[process.web]\nrun = \"./bin/shop\"\n"})
	m, err := w.builder.Read(t.Context(), w.job.Tree)
	if err != nil {
		t.Fatal(err)
	}
	if web, ok := m.Web(); !ok || web.Run != "./bin/shop" {
		t.Errorf("%+v", m)
	}
}

// Where the operator has written sandbox = "none", steps do the same on the host's own paths.
func TestWithoutSandbox(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "module list") }))
	defer server.Close()
	w := newWorld(t, func(c *Config) {
		c.Sandbox = sandbox.New(sandbox.Config{Mode: sandbox.ModeNone, Group: group()})
		c.Egress = egress.New(egress.Config{Allow: []string{strings.TrimPrefix(server.URL, "http://")}})
	})
	w.job.Manifest.Build.Network = true
	w.job.Manifest.Build.Cache = []string{"target"}
	log, err := w.build("pwd", "echo 1 > $HOME/kept", "~/tool get "+server.URL)
	if err != nil {
		t.Fatal(err, log)
	}
	has(t, log, "cache folders are not kept without a sandbox\n", "\n"+w.job.Tree+"\n", "module list")
	w.withApp("exec ~/tool app")
	w.job.Manifest.Processes[0].Env = map[string]string{"HOME": filepath.Join(w.layout.Cache("shop"), "home")}
	if log, err := w.test(deploy.TestSet{Name: "unit", App: true}, "cat ~/kept", "~/tool get $APP_URL", "echo >dropping"); err != nil {
		t.Error(err, log)
	}
	if _, err := os.Lstat(filepath.Join(w.job.Tree, "dropping")); !os.IsNotExist(err) {
		t.Errorf("a test's dropping is in the tree: %v", err)
	}
	w.nothingRuns()
}

func BenchmarkStep(b *testing.B) {
	for name, network := range map[string]bool{"alone": false, "network": true} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.job.Manifest.Build.Network = network
			for b.Loop() {
				if log, err := w.build("true"); err != nil {
					b.Fatal(err, log)
				}
			}
		})
	}
}

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}
