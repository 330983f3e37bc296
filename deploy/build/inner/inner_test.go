package inner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain makes the test binary the programs that the tests run: the one under test, an app, and a
// client that heeds HTTP_PROXY.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "inner":
			os.Exit(Main(os.Args[2:]))
		case "app":
			os.Exit(app(os.Args[2]))
		case "get":
			os.Exit(get(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

// app is an HTTP server, or nearly, by kind.
func app(kind string) int {
	addr := "127.0.0.1:" + os.Getenv("PORT")
	if kind == "tcp" {
		l, err := net.Listen("tcp", addr)
		for err == nil {
			var c net.Conn
			if c, err = l.Accept(); err == nil {
				c.Close()
			}
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	asked := 0
	fmt.Println("app listens as", kind)
	err := http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch {
		case kind == "unhealthy", kind == "warming" && asked < 4:
			w.WriteHeader(http.StatusServiceUnavailable)
		case kind == "plain" && r.URL.Path == "/up":
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprintf(w, "%s %s", r.URL.Path, os.Getenv("GREETING"))
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func get(url string) int {
	res, err := http.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer res.Body.Close()
	_, _ = io.Copy(os.Stdout, res.Body)
	return 0
}

// result is what the program did.
type result struct {
	status   int
	out, err string
	report   Report
}

// self is how a script calls this test binary.
func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func command(t *testing.T, p Plan, script string) (*exec.Cmd, *result, func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "inner")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.Report = filepath.Join(dir, "report.sock")
	l, err := net.Listen("unix", p.Report)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &result{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err == nil {
			json.NewDecoder(c).Decode(&r.report)
			c.Close()
		}
	}()
	cmd := exec.Command(self(t), append([]string{"inner"}, p.Args([]string{"/bin/sh", "-e", "-c", script})...)...)
	cmd.Env = append(os.Environ(), "SELF="+self(t))
	return cmd, r, func() { l.Close(); <-done }
}

// run runs a script. In a sandbox nobody else can take the app's port; here another test can, and then it is
// run again.
func run(t *testing.T, p Plan, script string) *result {
	t.Helper()
	for range 5 {
		if r := runOnce(t, p, script); !strings.Contains(r.err, "address already in use") {
			return r
		}
	}
	t.Fatal("the app's port was taken five times")
	return nil
}

func runOnce(t *testing.T, p Plan, script string) *result {
	t.Helper()
	cmd, r, end := command(t, p, script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	end()
	r.status, r.out, r.err = cmd.ProcessState.ExitCode(), out.String(), errs.String()
	return r
}

func TestExitStatusIsTheScripts(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "exit 125": 125, "kill -9 $$": 137, "no-such-program": 127} {
		r := run(t, Plan{}, script)
		if r.status != want || r.report != (Report{}) {
			t.Errorf("%s: status %d, report %+v; want %d, none", script, r.status, r.report, want)
		}
	}
}

func TestOutputsStayApart(t *testing.T) {
	r := run(t, Plan{}, "echo a; echo b >&2")
	if r.out != "a\n" || r.err != "b\n" {
		t.Errorf("out %q, err %q", r.out, r.err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"{}"}, {"{", "sh"}} {
		if _, _, err := parse(args); err == nil {
			t.Errorf("parse(%q) took it", args)
		}
	}
	cmd := exec.Command(self(t), "inner", "{}")
	if cmd.Run(); cmd.ProcessState.ExitCode() != statusFault {
		t.Errorf("status %d, want %d", cmd.ProcessState.ExitCode(), statusFault)
	}
}

// proxy answers every request on a unix socket with the URL that it was asked for.
func proxy(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "egress.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL) })}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return socket
}

func TestScriptReachesTheProxy(t *testing.T) {
	r := run(t, Plan{Egress: proxy(t)}, `"$SELF" get http://modules.test/list; echo; echo $NO_PROXY; test "$https_proxy" = "$HTTP_PROXY"`)
	if want := "http://modules.test/list\nlocalhost,127.0.0.1,::1\n"; r.status != 0 || r.out != want {
		t.Errorf("status %d, out %q, err %q; want %q", r.status, r.out, r.err, want)
	}
}

func TestProxyThatIsGone(t *testing.T) {
	r := run(t, Plan{Egress: "/nonexistent/egress.sock"}, `"$SELF" get http://modules.test/`)
	if !strings.Contains(r.out, "the egress proxy does not answer") {
		t.Errorf("status %d, out %q, err %q", r.status, r.out, r.err)
	}
}

func planApp(t *testing.T, kind, path string) Plan {
	return Plan{App: &App{
		Run: "exec " + self(t) + " app " + kind, Env: map[string]string{"GREETING": "hello"}, Path: path,
		Storage: filepath.Join(t.TempDir(), "storage"), Ready: 10 * time.Second, Grace: 5 * time.Second,
	}}
}

func TestAppBesideTheScript(t *testing.T) {
	for _, tt := range []struct{ kind, path string }{
		{"good", ""}, {"good", "/health"}, {"warming", ""}, {"warming", "/health"}, {"plain", ""}, {"tcp", ""},
	} {
		t.Run(tt.kind+tt.path, func(t *testing.T) {
			t.Parallel()
			r := run(t, planApp(t, tt.kind, tt.path), `test "$APP_URL" = "http://127.0.0.1:$PORT"; test -z "$GREETING"; echo asked; "$SELF" get $APP_URL/x || true`)
			if r.status != 0 || !strings.Contains(r.out, "asked") || r.report != (Report{}) {
				t.Fatalf("%+v", r)
			}
			if tt.kind != "tcp" && (!strings.HasSuffix(r.out, "/x hello") || !strings.Contains(r.err, "app listens as")) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAppThatExits(t *testing.T) {
	p := planApp(t, "good", "")
	p.App.Run = "echo no such database; exit 3"
	began := time.Now()
	r := run(t, p, "echo the script ran")
	want := Report{NotReady: "the app exited before it was ready (exit status 3)"}
	if diff := cmp.Diff(want, r.report); diff != "" || r.status != statusNotReady {
		t.Errorf("status %d, report (-want +got):\n%s", r.status, diff)
	}
	if r.out != "" || r.err != "no such database\n" {
		t.Errorf("out %q, err %q", r.out, r.err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestAppThatIsNeverReady(t *testing.T) {
	for _, tt := range []struct{ kind, path, want string }{
		{"unhealthy", "", "GET /up answered 503 Service Unavailable"},
		{"unhealthy", "/health", "GET /health answered 503 Service Unavailable"},
		{"plain", "/up", "GET /up answered 404 Not Found"},
		{"tcp", "/health", "GET /health: "},
	} {
		t.Run(tt.kind+tt.path, func(t *testing.T) {
			t.Parallel()
			p := planApp(t, tt.kind, tt.path)
			p.App.Ready = 4 * time.Second
			r := run(t, p, "echo the script ran")
			if !strings.HasPrefix(r.report.NotReady, "the app did not become ready within 4s: "+tt.want) || r.out != "" {
				t.Errorf("%+v", r)
			}
		})
	}
	p := planApp(t, "good", "")
	p.App.Run, p.App.Ready = "exec sleep 60", 300*time.Millisecond
	r := run(t, p, "true")
	if !strings.Contains(r.report.NotReady, "nothing listens on 127.0.0.1:") {
		t.Errorf("%+v", r)
	}
}

func TestAppThatEndsMeanwhile(t *testing.T) {
	p := planApp(t, "good", "")
	p.App.Run = self(t) + " app good & server=$!; trap 'kill $server; exit 4' TERM; echo $$ >" + filepath.Join(p.App.Storage, "pid") + "; wait"
	r := run(t, p, "kill $(cat "+filepath.Join(p.App.Storage, "pid")+`); while kill -0 $(cat `+filepath.Join(p.App.Storage, "pid")+`) 2>/dev/null; do :; done; exit 1`)
	if r.status != 1 || r.report.AppExit != "exit status 4" {
		t.Errorf("%+v", r)
	}
}

// The app's whole process group ends with the script, also what ignores TERM.
func TestAppEndsWithTheScript(t *testing.T) {
	p := planApp(t, "good", "")
	pids := filepath.Join(p.App.Storage, "pids")
	p.App.Grace = 300 * time.Millisecond
	p.App.Run = "(trap '' TERM; while :; do sleep 0.05; done) & echo $! >" + pids + "; exec " + self(t) + " app good"
	if r := run(t, p, "exit 0"); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	if !gone(pid) {
		t.Errorf("process %d still runs", pid)
	}
}

// gone waits until a process that was killed has ended or is only not yet reaped.
func gone(pid int) bool {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return true
		}
	}
	return false
}

func TestTermIsPassedOn(t *testing.T) {
	cmd, _, end := command(t, Plan{}, "trap 'echo got it; exit 7' TERM; echo up; while :; do sleep 0.05; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 3)
	if _, err := io.ReadFull(out, first); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(out)
	cmd.Wait()
	end()
	if cmd.ProcessState.ExitCode() != 7 || string(rest) != "got it\n" {
		t.Errorf("status %d, out %q", cmd.ProcessState.ExitCode(), rest)
	}
}
