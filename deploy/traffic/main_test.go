package traffic

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
)

// roleEnv makes the test binary another process of the story: a router, or a server that supervises one.
const roleEnv = "SLIPWAY_TRAFFIC_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "router":
		os.Exit(routerMain(os.Args[1:]))
	case "server":
		os.Exit(serverMain(os.Args[1:]))
	case "plain":
		os.Exit(plainMain(os.Args[1:]))
	case "backend":
		os.Exit(backendMain())
	}
	os.Exit(m.Run())
}

func routerMain(args []string) int {
	var c Config
	flags := flag.NewFlagSet("router", flag.ExitOnError)
	flags.StringVar(&c.Listen, "listen", "", "")
	flags.StringVar(&c.Socket, "socket", "", "")
	flags.StringVar(&c.StateFile, "state", "", "")
	flags.StringVar(&c.Version, "version", "", "")
	flags.DurationVar(&c.idleTimeout, "idle", 0, "")
	flags.DurationVar(&c.drainTimeout, "drain", 0, "")
	flags.DurationVar(&c.heartbeat, "heartbeat", 0, "")
	_ = flags.Parse(args)
	c.Domain = "localhost"
	c.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Serve(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serverMain supervises a router whose table is a JSON file, until it is killed.
func serverMain(args []string) int {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	dir := flags.String("dir", "", "")
	listen := flags.String("listen", "", "")
	version := flags.String("version", "", "")
	_ = flags.Parse(args)
	s := NewSupervisor(supervisorConfig(*dir, *listen, *version, func(context.Context) ([]Route, error) {
		var routes []Route
		b, err := os.ReadFile(filepath.Join(*dir, "recorded.json"))
		if err != nil {
			return nil, err
		}
		return routes, json.Unmarshal(b, &routes)
	}))
	go func() {
		<-s.Ready()
		fmt.Println("ready")
	}()
	if err := s.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func supervisorConfig(dir, listen, version string, table func(context.Context) ([]Route, error)) SupervisorConfig {
	socket := filepath.Join(dir, "router.sock")
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return SupervisorConfig{
		Argv: []string{exe, "-listen", listen, "-socket", socket, "-state", filepath.Join(dir, "state.json"),
			"-version", version, "-idle", "2s"},
		Env:     []string{roleEnv + "=router"},
		Client:  NewClient(socket),
		LogPath: filepath.Join(dir, "router.log"),
		Version: version,
		Table:   table,
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
}

// startProcess starts the test binary in a role and ends it with the test.
func startProcess(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = t.Output()
	t.Cleanup(func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// testRouter is a router in this process.
type testRouter struct {
	*Client
	t    testing.TB
	addr string
	dir  string
	stop func() // ends it and waits
}

func newTestRouter(t testing.TB, edit ...func(*Config)) *testRouter {
	t.Helper()
	dir := t.TempDir()
	c := Config{
		Listen:    "127.0.0.1:0",
		Socket:    filepath.Join(dir, "router.sock"),
		StateFile: filepath.Join(dir, "state.json"),
		Domain:    "localhost",
		Version:   "v1",
		Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, e := range edit {
		e(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, c) }()
	r := &testRouter{Client: NewClient(c.Socket), t: t, dir: dir}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(r.stop)
	h, err := r.Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.addr = h.Listen
	return r
}

// route puts a release in force.
func (r *testRouter) route(app deploy.AppName, release deploy.Number, backends ...*httptest.Server) []deploy.Instance {
	r.t.Helper()
	up := instances(app, release, backends...)
	if err := r.Route(r.t.Context(), Route{App: app, Release: release, Upstreams: up}); err != nil {
		r.t.Fatal(err)
	}
	return up
}

func instances(app deploy.AppName, release deploy.Number, backends ...*httptest.Server) []deploy.Instance {
	var up []deploy.Instance
	for i, b := range backends {
		up = append(up, deploy.Instance{App: app, Release: release, Process: "web", Index: i + 1, Addr: b.Listener.Addr().String()})
	}
	return up
}

// request makes a request to an app through the router.
func (r *testRouter) request(method, host, path string, body io.Reader) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.addr+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	return req
}

// get returns status and body of a GET to an app.
func (r *testRouter) get(host, path string) (int, string) {
	r.t.Helper()
	return do(r.t, r.request("GET", host, path, nil))
}

func do(t testing.TB, req *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// backend is an app's instance.
func backend(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// says answers everything with a word.
func says(word string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, word) }
}

// freeAddr returns an address that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually waits for a state of another process that nothing announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		}
	}
}

func contains(t testing.TB, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%q does not say %q", text, part)
	}
}
