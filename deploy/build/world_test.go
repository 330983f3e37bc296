package build

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/build/inner"
	"slipway/deploy/sandbox"
	"slipway/deploy/sandbox/egress"
)

// program is a copy of the test binary where the sandbox's user can reach it: the program inside, an
// app, and a client that heeds HTTP_PROXY for every address. Steps find it in their cache, as tool.
var program string

const tool = "/cache/tool"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "inner":
			os.Exit(inner.Main(os.Args[2:]))
		case "app":
			os.Exit(app())
		case "forge":
			os.Exit(forge(os.Args[2]))
		case "get":
			os.Exit(get(os.Args[2]))
		}
	}
	os.Exit(withProgram(m))
}

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "build-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "program")
	if err := os.Chmod(dir, 0o755); err != nil {
		panic(err)
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	if out, err := exec.Command("cp", self, program).CombinedOutput(); err != nil {
		panic(string(out))
	}
	defer removeGroups()
	return m.Run()
}

// group keeps the tests' cgroups apart from those of other test processes.
func group() string { return "slipway-build-test-" + strconv.Itoa(os.Getpid()) }

func removeGroups() {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/"} {
		found, _ := filepath.Glob(pattern + group())
		for _, dir := range found {
			os.Remove(dir)
		}
	}
}

// app is a web process: it answers with the database that it was told of, and ends when told to.
func app() int {
	fmt.Println("app starts in", os.Getenv("HOME"))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { fmt.Println("app was told to end"); os.Exit(0) })
	http.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) {
		fmt.Println("app: out of luck")
		os.Exit(9)
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "database ", os.Getenv("DATABASE")) })
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
	return 1
}

// forge reports what the program inside did not say.
func forge(report string) int {
	conn, err := net.Dial("unix", insideReport)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	fmt.Fprintln(conn, report)
	_, _ = io.Copy(io.Discard, conn)
	return 0
}

func get(address string) int {
	transport := &http.Transport{}
	if proxy := os.Getenv("HTTP_PROXY"); proxy != "" && os.Getenv("DIRECT") == "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return 2
		}
		transport.Proxy = http.ProxyURL(u)
	}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	res, err := client.Get(address)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer res.Body.Close()
	_, _ = io.Copy(os.Stdout, res.Body)
	fmt.Println()
	if res.StatusCode >= 400 {
		return 1
	}
	return 0
}

// world is a server's data directory with one app, and its builder.
type world struct {
	testing.TB
	layout  deploy.Layout
	builder *Builder
	job     *deploy.Job
}

var lastNumber atomic.Int64

// newWorld makes a world. Change configures its builder.
func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real sandboxes")
	}
	data, err := os.MkdirTemp("", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	config := Config{
		Sandbox: sandbox.New(sandbox.Config{
			Group: group(),
		}),
		Egress:     egress.New(egress.Config{}),
		Layout:     deploy.Layout(data),
		Executable: []string{program, "inner"},
		Defaults:   deploy.Limits{Processes: 200, Timeout: time.Minute},
		RunDir:     data,
	}
	for _, c := range change {
		c(&config)
	}
	w := &world{TB: t, layout: deploy.Layout(data), builder: New(config)}
	w.job = w.newJob(map[string]string{})
	home := filepath.Join(w.layout.Cache("shop"), "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(program, filepath.Join(home, "tool")); err != nil {
		t.Fatal(err)
	}
	return w
}

// newJob makes a deployment of a tree of files.
func (w *world) newJob(files map[string]string) *deploy.Job {
	w.Helper()
	n := deploy.Number(lastNumber.Add(1))
	job := &deploy.Job{
		Number: n, App: deploy.App{Name: "shop", ID: 7}, Revision: "1b2c3d4", Manifest: &deploy.Manifest{},
		Tree: w.layout.Work("shop", n),
	}
	if err := os.MkdirAll(job.Tree, 0o755); err != nil {
		w.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(job.Tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			w.Fatal(err)
		}
	}
	return job
}

// build runs commands as the build of the world's job and returns the log.
func (w *world) build(commands ...string) (string, error) {
	w.Helper()
	w.job.Manifest.Build.Commands = commands
	var log strings.Builder
	err := w.builder.Build(w.Context(), w.job, &log)
	return log.String(), err
}

// test runs commands as a test set and returns the log.
func (w *world) test(set deploy.TestSet, commands ...string) (string, error) {
	w.Helper()
	set.Step.Commands = commands
	var log strings.Builder
	err := w.builder.Test(w.Context(), w.job, set, &log)
	return log.String(), err
}

func (w *world) appLog(set string) string {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(w.layout.Deployment(w.job.Number), "test."+set+".app.log"))
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// rejection checks that err is one and returns it.
func (w *world) rejection(err error) *deploy.Rejection {
	w.Helper()
	r, ok := deploy.AsRejection(err)
	if !ok {
		w.Fatalf("error %v, want a rejection", err)
	}
	return r
}

func has(t testing.TB, text string, want ...string) {
	t.Helper()
	for _, s := range want {
		if !strings.Contains(text, s) {
			t.Errorf("%q is missing in:\n%s", s, text)
		}
	}
}
