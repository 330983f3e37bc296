package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

func TestLimitsAreNamed(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, command, limit, key string
		limits                    deploy.Limits
	}{
		{"memory", "head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null", "memory limit of 64 MiB reached", "memory", deploy.Limits{Memory: 64 << 20}},
		{"processes", "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; wait", "process limit of 20 reached", "processes", deploy.Limits{Processes: 20}},
		{"file size", "head -c 3000000 /dev/zero > large", "file size limit of 1 MiB reached", "file_size", deploy.Limits{FileSize: 1 << 20}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			w.job.Manifest.Build.Limits = tt.limits
			_, err := w.build(tt.command)
			r := w.rejection(err)
			if r.Code != deploy.CodeLimit || r.Message != "build failed ("+tt.limit+")" || r.Line != "build failed ("+tt.limit+")" || r.Hint != "if it needs more, set "+tt.key+" in [build]" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A limit that strikes the program inside, before the script, is the step's all the same.
func TestLimitBeforeTheScript(t *testing.T) {
	w := newWorld(t)
	w.job.Manifest.Build.Network = true
	for _, n := range []int{1, 2, 3, 5, 8} {
		w.job.Manifest.Build.Limits.Processes = n
		if _, err := w.build("sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & wait"); w.rejection(err).Code != deploy.CodeLimit {
			t.Errorf("%d processes: %v", n, err)
		}
	}
}

func TestTimeLimitIsNamed(t *testing.T) {
	w := newWorld(t)
	set := deploy.TestSet{Name: "unit", Step: deploy.Step{Limits: deploy.Limits{Timeout: 500 * time.Millisecond}}}
	_, err := w.test(set, "(setsid sleep 300 &) ; sleep 300")
	want := &deploy.Rejection{
		Code:    deploy.CodeLimit,
		Message: `test set "unit" failed (time limit of 500ms reached; all its processes were ended)`,
		Hint:    "if it needs more, set timeout in [test.unit]",
		Line:    "test unit failed (time limit of 500ms reached)",
		Tail:    []string{"$ (setsid sleep 300 &) ; sleep 300"},
	}
	if diff := cmp.Diff(want, w.rejection(err)); diff != "" {
		t.Errorf("rejection (-want +got):\n%s", diff)
	}
	w.nothingRuns()
}

// nothingRuns checks that no process of the job is left.
func (w *world) nothingRuns() {
	w.Helper()
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		env, err := os.ReadFile(filepath.Join(p, "environ"))
		if err == nil && strings.Contains(string(env), "SLIPWAY_DEPLOYMENT="+w.job.Number.String()+"\x00") &&
			strings.Contains(string(env), "SLIPWAY_REVISION="+string(w.job.Revision)) {
			cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline"))
			w.Errorf("%s still runs: %q", p, cmdline)
		}
	}
}

func TestFloodIsDrained(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxLog = 100 << 10 })
	log, err := w.build("head -c 40000000 /dev/zero | tr '\\0' x; echo", "echo the cause", "exit 1")
	if len(log) > 110<<10 {
		t.Errorf("log of %d bytes", len(log))
	}
	has(t, log, "[the log was cut here, at 100 KiB; the output went on]", "were not kept; the last lines were:", "the cause\n$ exit 1\n")
	tail := w.rejection(err).Tail
	if diff := cmp.Diff([]string{"$ echo the cause", "the cause", "$ exit 1"}, tail[len(tail)-3:]); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}
}

func TestDaemonsEndWithTheStep(t *testing.T) {
	w := newWorld(t)
	if log, err := w.build("(setsid sleep 300 >/dev/null 2>&1 &)", "sleep 300 &"); err != nil {
		t.Fatal(err, log)
	}
	w.nothingRuns()
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.withApp("exec " + tool + " app")
	for name, set := range map[string]deploy.TestSet{"alone": {Name: "a"}, "with app": {Name: "b", App: true}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			log := &awaited{want: "$ trap", found: make(chan struct{})}
			set.Step.Commands = []string{"trap '' TERM; (setsid sleep 300 &); sleep 300"}
			done := make(chan error)
			go func() { done <- w.builder.Test(ctx, w.job, set, log) }()
			log.wait(t, done)
			canceled := time.Now()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(canceled); took > 2*time.Second {
				t.Errorf("ended %s after it was canceled", took)
			}
			w.TB = t
			w.nothingRuns()
			w.noSockets()
		})
	}
}

// awaited is a log that tells when a text was written.
type awaited struct {
	mu    sync.Mutex
	text  string
	want  string
	found chan struct{}
}

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := strings.Contains(a.text, a.want)
	a.text += string(p)
	if !before && strings.Contains(a.text, a.want) {
		close(a.found)
	}
	return len(p), nil
}

// wait returns when the text was written; the step must not end before that.
func (a *awaited) wait(t testing.TB, done <-chan error) {
	t.Helper()
	select {
	case <-a.found:
	case err := <-done:
		t.Fatalf("ended early: %v\n%s", err, a.text)
	}
}

func TestCanceledBefore(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.job.Manifest.Build.Commands = []string{"true"}
	if err := w.builder.Build(ctx, w.job, &strings.Builder{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Another builder of the same server, as after a crash, ends what this one started.
func TestEnd(t *testing.T) {
	w := newWorld(t)
	w.endsWith(func(other *Builder) error { return other.End(t.Context(), w.job.Number) })
}

func TestEndAll(t *testing.T) {
	w := newWorld(t)
	w.endsWith(func(other *Builder) error { return other.EndAll(t.Context()) })
}

// endsWith wants end to end a step that another builder has started, and nothing of an app that is called almost as
// the step is.
func (w *world) endsWith(end func(*Builder) error) {
	t := w.TB
	name := "d" + w.job.Number.String() + "-shop.1.web.1"
	instance, err := w.builder.config.Sandbox.Start(t.Context(), sandbox.Spec{
		Name: name, ID: 7, Argv: []string{"/bin/sleep", "300"}, Dir: "/",
	}, sandbox.Stdio{})
	if err != nil {
		t.Fatal(err)
	}
	w.job.Manifest.Build.Commands = []string{"echo up; sleep 300"}
	log := &awaited{want: "\nup", found: make(chan struct{})}
	done := make(chan error)
	go func() { done <- w.builder.Build(t.Context(), w.job, log) }()
	log.wait(t, done)
	stale := filepath.Join(string(w.layout), w.builder.runPrefix(w.job.Number)+"1")
	if err := os.Mkdir(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	other := New(w.builder.config)
	if err := other.End(t.Context(), w.job.Number+100000); err != nil {
		t.Error(err)
	}
	w.mustRun(done)
	if err := end(other); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("the build was not ended")
	}
	if u, err := w.builder.config.Sandbox.Usage(name); err != nil || len(u.PIDs) == 0 {
		t.Errorf("of an app's instance there is left: %v, %v", u.PIDs, err)
	}
	_ = instance.Kill()
	_, _ = instance.Wait()
	w.nothingRuns()
	w.noSockets()
}

func (w *world) mustRun(done <-chan error) {
	w.Helper()
	select {
	case err := <-done:
		w.Fatal("ended early: ", err)
	default:
	}
}
