package traffic

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy"
)

// world is a data directory with a router of its own process.
type world struct {
	*testRouter
	recorded []Route
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{testRouter: &testRouter{t: t, dir: dir, addr: freeAddr(t)}}
	w.Client = NewClient(filepath.Join(dir, "router.sock"))
	t.Cleanup(func() {
		for _, pid := range routersIn(dir) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, "router.log"))
			t.Logf("router.log:\n%s", b)
		}
	})
	return w
}

// supervise runs a supervisor in this process until the returned function is called.
func (w *world) supervise(version string) (s *Supervisor, end func()) {
	w.t.Helper()
	config := supervisorConfig(w.dir, w.addr, version, func(context.Context) ([]Route, error) { return w.recorded, nil })
	s = NewSupervisor(config)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx); close(done) }()
	ended := false
	end = func() {
		if !ended {
			ended = true
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("Run: %v", err)
			}
		}
	}
	w.t.Cleanup(end)
	select {
	case <-s.Ready():
	case err := <-done:
		w.t.Fatalf("Run ended: %v", err)
	case <-time.After(30 * time.Second):
		w.t.Fatal("no router")
	}
	w.Client = config.Client
	return s, end
}

func (w *world) pid() int {
	w.t.Helper()
	h, err := w.Health(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return h.PID
}

// kill returns when the process has ended: until then it may accept a connection and take it along.
func kill(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed process has ended", func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n == 1 && err == nil
	})
}

func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }

// numbered answers with its release and the request's body.
func numbered(release deploy.Number) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/ws" {
			upgrader(rw, req)
			return
		}
		b, _ := io.ReadAll(req.Body)
		fmt.Fprintf(rw, "release %d %s", release, b)
	}))
}

func TestRouterOutlivesItsServer(t *testing.T) {
	w := newWorld(t)
	b := numbered(1)
	defer b.Close()
	routes, _ := json.Marshal([]Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b)}})
	if err := os.WriteFile(filepath.Join(w.dir, "recorded.json"), routes, 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() (kill func()) {
		cmd := startProcess(t, "server", "-dir", w.dir, "-listen", w.addr, "-version", "v1")
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("%q %v", line, err)
		}
		return func() { cmd.Process.Kill(); cmd.Wait() }
	}
	kill := start()
	pid := w.pid()
	l := startLoad(t, w.addr, "shop.localhost", 3000)
	for range 3 {
		kill()
		kill = start()
		if now := w.pid(); now != pid {
			t.Fatalf("router %d was exchanged for %d", pid, now)
		}
	}
	l.check(t)
	kill()
	if status, text := w.get("shop.localhost", "/"); status != 200 || text != "release 1 " {
		t.Errorf("%d %q", status, text)
	}
}

// The router has nothing of the process that started it.
func TestRouterIsDetached(t *testing.T) {
	w := newWorld(t)
	leaked, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0) // without O_CLOEXEC, as a careless parent does
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leaked)
	w.supervise("v1")
	pid := w.pid()
	proc := fmt.Sprintf("/proc/%d/", pid)
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, _ := os.Readlink(proc + "fd/" + fd.Name())
		switch {
		case fd.Name() == "0" && to == "/dev/null", strings.HasSuffix(to, "/router.log"), strings.HasPrefix(to, "/sys/fs/cgroup/"),
			strings.HasPrefix(to, "socket:"), strings.HasPrefix(to, "anon_inode:"):
		default:
			t.Errorf("descriptor %s is %s", fd.Name(), to)
		}
	}
	if session, err := sessionOf(pid); err != nil || session != pid {
		t.Errorf("session %d of process %d, %v", session, pid, err)
	}
	if cwd, _ := os.Readlink(proc + "cwd"); cwd != "/" {
		t.Errorf("working directory %s", cwd)
	}
	if env, _ := os.ReadFile(proc + "environ"); string(env) != roleEnv+"=router\x00" {
		t.Errorf("environment %q", env)
	}
	info, err := os.Stat(filepath.Join(w.dir, "router.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v %v", info.Mode(), err)
	}
}

func sessionOf(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	var state string
	var ppid, group, session int
	_, err = fmt.Sscan(string(b[strings.LastIndexByte(string(b), ')')+1:]), &state, &ppid, &group, &session)
	return session, err
}

// A killed router is back at once with what was in force, which is more than what is recorded. Nobody
// is refused a connection meanwhile, and no zombie is left.
func TestKilledRouterIsStartedAgain(t *testing.T) {
	w := newWorld(t)
	b1, b2 := numbered(1), numbered(2)
	defer b1.Close()
	defer b2.Close()
	w.recorded = []Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b1)}, {App: "blog"}, {App: "old"}}
	w.supervise("v1")
	w.route("shop", 2, b2) // switched, not recorded yet
	if err := w.Remove(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pid := w.pid()
		kill(t, pid)
		// At this moment nobody accepts: this connection waits for the next router.
		conn, br := raw(t, w.addr, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text := readAll(t, res.Body, 100); text != "release 2 " {
			t.Fatalf("%s %q", res.Status, text)
		}
		conn.Close()
		eventually(t, "another router runs, the dead one is no zombie", func() bool { return w.pid() != pid && !exists(pid) })
		eventually(t, "it has been told the table", func() bool {
			status, _ := w.get("blog.localhost", "/")
			return status == 503
		})
		if n, err := w.Routed(t.Context(), "shop"); err != nil || n != 2 {
			t.Errorf("shop is routed to %d, %v", n, err)
		}
		if status, _ := w.get("old.localhost", "/"); status != 404 {
			t.Errorf("the removed app answers %d", status)
		}
	}
}

// While no router can be started connections wait for a while, and are refused then: nobody waits for
// nobody. When one can be started again, it is.
func TestRouterThatCannotBeStarted(t *testing.T) {
	w := newWorld(t)
	b := numbered(1)
	defer b.Close()
	config := supervisorConfig(w.dir, w.addr, "v1", func(context.Context) ([]Route, error) {
		return []Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b)}}, nil
	})
	real, program := config.Argv[0], filepath.Join(w.dir, "program")
	there := func() {
		if err := os.Symlink(real, program); err != nil {
			t.Fatal(err)
		}
	}
	away := func() {
		if err := os.Remove(program); err != nil {
			t.Fatal(err)
		}
		kill(t, w.pid())
	}
	there()
	config.Argv = append([]string{program}, config.Argv[1:]...)
	config.patience = time.Second
	s := NewSupervisor(config)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()

	away()
	_, br := raw(t, w.addr, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	time.AfterFunc(config.patience/4, there) // after some attempts
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := readAll(t, res.Body, 100); text != "release 1 " {
		t.Errorf("%s %q", res.Status, text)
	}

	away()
	refused := func() bool {
		conn, err := net.Dial("tcp", w.addr)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	eventually(t, "connections are refused", refused)
	there()
	eventually(t, "a router runs again", func() bool { return !refused() })
	if status, text := w.get("shop.localhost", "/"); status != 200 || text != "release 1 " {
		t.Errorf("%d %q", status, text)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Calls of the server wait while its router is being restarted.
func TestClientWaitsForTheRouter(t *testing.T) {
	w := newWorld(t)
	w.supervise("v1")
	b := numbered(3)
	defer b.Close()
	for n := range deploy.Number(5) {
		pid := w.pid()
		syscall.Kill(pid, syscall.SIGKILL)
		w.route("shop", n+1, b)
		if got, err := w.Routed(t.Context(), "shop"); err != nil || got != n+1 {
			t.Errorf("routed to %d, %v", got, err)
		}
		eventually(t, "the killed router is gone", func() bool { return w.pid() != pid })
	}
}

func TestSilentRouterIsKilled(t *testing.T) {
	w := newWorld(t)
	_, end := w.supervise("v1")
	end()
	pid := w.pid()
	syscall.Kill(pid, syscall.SIGSTOP)
	config := supervisorConfig(w.dir, w.addr, "v1", func(context.Context) ([]Route, error) { return nil, nil })
	config.Argv = append(config.Argv, "-heartbeat", "20ms")
	config.silence = time.Second
	s := NewSupervisor(config)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	eventually(t, "the stopped router is gone", func() bool { return !exists(pid) })
	<-s.Ready()
	pid = w.pid()
	syscall.Kill(pid, syscall.SIGSTOP) // while it is watched
	eventually(t, "the watched one too", func() bool { return !exists(pid) })
	eventually(t, "another one runs", func() bool { return w.pid() != pid })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	w := newWorld(t)
	s, end := w.supervise("v1")
	pid := w.pid()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	end()
	if exists(pid) {
		t.Error("the router still runs")
	}
	if _, err := os.Stat(filepath.Join(w.dir, "router.sock")); !os.IsNotExist(err) {
		t.Errorf("its socket: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// Two servers that want one address are told so, and do not share it out.
func TestAddressInUse(t *testing.T) {
	w := newWorld(t)
	w.supervise("v1")
	other := newWorld(t)
	config := supervisorConfig(other.dir, w.addr, "v1", func(context.Context) ([]Route, error) { return nil, nil })
	err := NewSupervisor(config).Run(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	contains(t, err.Error(), "listening on "+w.addr+": address already in use")
}
