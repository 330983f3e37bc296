package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway/deploy"
)

// whole is the manifest of the manual, with every section.
const whole = `
[build]
run     = "make build"
network = true
cache   = [".cache"]
timeout = "10m"

[test.unit]
run = "make test"

[test.integration]
run  = "./test/integration.sh"
app  = true
env  = { DATABASE_URL = "sqlite:test.db" }
needs = ["unit"]
memory = "1GiB"
timeout = "4m"

[process.worker]
run = "./bin/shop work"
cpu = 0.5

[process.web]
run = "./bin/shop"
env = { LOG_LEVEL = "info" }
processes = 64

[deploy]
release       = ["./bin/migrate", "./bin/seed"]
ready_timeout = "20s"
drain_timeout = "1m30s"
keep_releases = 7

[hooks]
after_accept = "./announce.sh"

[health]
path = "/health?full=1"

[monitor]
bake_time = "1m"
interval  = "500ms"
error_pattern = '^panic: '
max_memory = "512MB"
max_cpu = 2
max_error_rate = 0.05
max_restarts = 1
`

// The package's story: a file says what it wants, and everything it does not say has a default.
func TestParse(t *testing.T) {
	m, err := Parse("slipway.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Build.Commands = []string{"make build"}
	want.Build.Cache = []string{".cache"}
	want.Tests = []deploy.TestSet{
		{Name: "unit", Step: deploy.Step{Commands: []string{"make test"}, Limits: deploy.Limits{Timeout: 5 * time.Minute}}},
		{Name: "integration", App: true, Needs: []string{"unit"}, Step: deploy.Step{
			Commands: []string{"./test/integration.sh"},
			Env:      map[string]string{"DATABASE_URL": "sqlite:test.db"},
			Limits:   deploy.Limits{Timeout: 4 * time.Minute, Memory: 1 << 30},
		}},
	}
	want.Processes = []deploy.Process{
		{Name: "web", Run: "./bin/shop", Env: map[string]string{"LOG_LEVEL": "info"}, Limits: deploy.Limits{Processes: 64}},
		{Name: "worker", Run: "./bin/shop work", Limits: deploy.Limits{CPU: 0.5}},
	}
	want.Deploy.Release.Commands = []string{"./bin/migrate", "./bin/seed"}
	want.Deploy.ReadyTimeout = 20 * time.Second
	want.Deploy.DrainTimeout = 90 * time.Second
	want.Deploy.KeepReleases = 7
	want.Hooks.AfterAccept.Commands = []string{"./announce.sh"}
	want.Health.Path = "/health?full=1"
	want.Monitor = deploy.MonitorPlan{
		BakeTime: time.Minute, Interval: 500 * time.Millisecond, ErrorPattern: "^panic: ",
		MaxMemory: 512e6, MaxCPU: 2, MaxErrorRate: 0.05, MaxRestarts: 1,
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("manifest (-want +got):\n%s", d)
	}
}

func TestDefaults(t *testing.T) {
	m, err := Parse("slipway.toml", []byte("[process.web]\nrun = './app'\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !m.Build.Network || m.Build.Limits.Timeout != 10*time.Minute || len(m.Build.Commands) != 0 {
		t.Errorf("build = %+v", m.Build)
	}
	want := deploy.MonitorPlan{BakeTime: 15 * time.Second, Interval: 250 * time.Millisecond, MaxErrorRate: 0.01}
	if d := cmp.Diff(want, m.Monitor); d != "" {
		t.Error(d)
	}
	if p := m.Deploy; p.ReadyTimeout != 30*time.Second || p.DrainTimeout != 30*time.Second || p.KeepReleases != 5 {
		t.Errorf("deploy = %+v", p)
	}
	if m.Deploy.Release.Limits.Timeout == 0 || m.Hooks.AfterReject.Limits.Timeout == 0 {
		t.Error("a release command or a hook would never time out")
	}
}

func TestParseElsewhere(t *testing.T) {
	m, err := Parse("slipway.toml", []byte(`
[deploy]
run = "./ship.sh"
undo = "./ship.sh --back"
[health]
url = "https://shop.example.com/up"
[verify]
url = "https://shop.example.com/revision"
[monitor]
bake_time = "0s"
`))
	if err != nil {
		t.Fatal(err)
	}
	if !m.External() || m.Monitor.BakeTime != 0 || m.Verify.URL == "" {
		t.Errorf("manifest = %+v", m)
	}
}

func TestFormat(t *testing.T) {
	for name, text := range map[string]string{
		"whole":    whole,
		"least":    "[process.web]\nrun = \"it's \\\"here\\\"\\n\\u0007\"\n",
		"literal":  "[process.web]\nrun = 'echo \"x\" \\ y'\n[build]\nrun = '''\na\nb\n'''\n",
		"nothing":  "",
		"zero":     "[monitor]\nbake_time = '0s'\nmax_error_rate = 0\n[deploy]\ndrain_timeout='0s'\n",
		"offline":  "[build]\nrun='x'\nnetwork=false\n[test.a]\nrun='y'\nnetwork=true\ndisk='1500B'\nfile_size='1.5GiB'\ncpu=1.25\nprocesses=3\n",
		"interval": "[monitor]\ninterval = '1h0m0.5s'\n",
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse("slipway.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse("again.toml", Format(m))
			if err != nil {
				t.Fatalf("%v\n%s", err, Format(m))
			}
			if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("changed by formatting:\n%s\n%s", d, Format(m))
			}
		})
	}
}

func TestFormatReads(t *testing.T) {
	m, err := Parse("slipway.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := `# How Slipway builds, tests, runs and watches this app.

[build]
run = "make build"
cache = [".cache"]

[test.unit]
run = "make test"

[test.integration]
run = "./test/integration.sh"
app = true
needs = ["unit"]
timeout = "4m"
memory = "1GiB"
env = { DATABASE_URL = "sqlite:test.db" }

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/shop"
processes = 64
env = { LOG_LEVEL = "info" }

[process.worker]
run = "./bin/shop work"
cpu = 0.5

[deploy]
release = [
  "./bin/migrate",
  "./bin/seed",
]
ready_timeout = "20s"
drain_timeout = "1m30s"
keep_releases = 7

[hooks]
after_accept = "./announce.sh"

[health]
path = "/health?full=1"

[monitor]
bake_time = "1m"
interval = "500ms"
error_pattern = "^panic: "
max_memory = "512MB"
max_cpu = 2
max_error_rate = 0.05
max_restarts = 1
`
	if d := cmp.Diff(want, string(Format(m))); d != "" {
		t.Error(d)
	}
}

// write makes a tree of files in a new folder and opens it.
func write(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// told is everything that a pusher reads of an error.
func told(t *testing.T, err error) string {
	t.Helper()
	r, ok := deploy.AsRejection(err)
	if !ok {
		t.Fatalf("error is no rejection: %v", err)
	}
	if r.Code != deploy.CodeManifest {
		t.Errorf("code = %q", r.Code)
	}
	s := r.Message + "\n"
	for _, line := range r.Tail {
		s += line + "\n"
	}
	if r.Hint != "" {
		s += r.Hint + "\n"
	}
	return strings.ReplaceAll(s, " \n", "\n")
}
