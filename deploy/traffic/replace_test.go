package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestUpgradeUnderLoad(t *testing.T) {
	w := newWorld(t)
	b := numbered(1)
	defer b.Close()
	w.recorded = []Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b)}}
	_, end := w.supervise("v1")
	l := startLoad(t, w.addr, "shop.localhost", 10000)
	pids := map[int]bool{w.pid(): true}
	for v := 2; !l.finished(); v++ {
		end()
		_, end = w.supervise(fmt.Sprint("v", v))
		h, err := w.Health(t.Context())
		if err != nil || h.Version != fmt.Sprint("v", v) || pids[h.PID] {
			t.Fatalf("%+v %v", h, err)
		}
		pids[h.PID] = true
	}
	l.check(t)
	last := w.pid()
	t.Logf("%d requests over %d routers", l.total.Load(), len(pids))
	if len(pids) < 3 {
		t.Errorf("only %d routers", len(pids))
	}
	for pid := range pids {
		if pid != last {
			eventually(t, "an old router ends", func() bool { return !exists(pid) })
		}
	}
	eventually(t, "every request is counted once", func() bool {
		c, err := w.Counts(t.Context(), w.recorded[0].Upstreams[0])
		return err == nil && c.Requests == l.total.Load() && c.ByClass[2] == c.Requests && len(c.Latencies) == 1000
	})
}

// A connection that was accepted at the very last moment, and that nobody has counted yet, is served.
func TestLastConnectionIsServed(t *testing.T) {
	r := newRouter(Config{Domain: "localhost"})
	b := numbered(1)
	defer b.Close()
	r.install(byApp([]Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b)}}))
	var err error
	if r.listener, err = listen("127.0.0.1:0", false); err != nil {
		t.Fatal(err)
	}
	accepting, goOn := make(chan struct{}), make(chan struct{})
	server := r.httpServer()
	server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		close(accepting)
		<-goOn
		return ctx
	}
	accepted, left := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(accepted)
		server.Serve(r.listener)
	}()
	_, reader := raw(t, r.listener.Addr().String(), "GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n")
	<-accepting
	go func() { left <- r.finishConnections(t.Context(), server, accepted) }()
	select {
	case err := <-left:
		t.Errorf("it has left with a connection to serve: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	if res, err := http.ReadResponse(reader, nil); err != nil || readAll(t, res.Body, 100) != "release 1 " {
		t.Error(err)
	}
	select {
	case err := <-left:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not leave after its last answer")
	}
}

// While an old router still has connections, a switch, a drain and the counts are about both.
func TestSwitchWhileTwoRoutersServe(t *testing.T) {
	w := newWorld(t)
	b1, b2 := numbered(1), numbered(2)
	defer b1.Close()
	defer b2.Close()
	up := instances("shop", 1, b1)
	w.recorded = []Route{{App: "shop", Release: 1, Upstreams: up}}
	_, end := w.supervise("v1")
	old := w.pid()
	ws, wsReader := upgrade(t, w.addr)
	kept, keptReader := raw(t, w.addr, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	if res, err := http.ReadResponse(keptReader, nil); err != nil || readAll(t, res.Body, 100) != "release 1 " {
		t.Fatal(err)
	}
	end()
	s, _ := w.supervise("v2")
	if now := w.pid(); now == old || !exists(old) {
		t.Fatalf("router %d, before %d", now, old)
	}
	echoes(t, ws, wsReader, "over the old one")
	if c, err := w.Counts(t.Context(), up[0]); err != nil || c.Requests != 2 || c.InFlight != 1 {
		t.Errorf("%+v %v", c, err)
	}

	w.route("shop", 2, b2)
	io.WriteString(kept, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	res, err := http.ReadResponse(keptReader, nil)
	if err != nil || readAll(t, res.Body, 100) != "release 2 " || !res.Close {
		t.Errorf("over the old router's connection: %v %v", res, err)
	}
	var left *InFlightError
	if err := w.Drain(t.Context(), "shop", 1, 20*time.Millisecond); !errors.As(err, &left) {
		t.Errorf("drained although the old router has a connection to it: %v", err)
	}
	ws.Close()
	if err := w.Drain(t.Context(), "shop", 1, time.Minute); err != nil {
		t.Error(err)
	}
	eventually(t, "the old router ends", func() bool { return !exists(old) })
	if c, err := w.Counts(t.Context(), up[0]); err != nil || c.Requests != 2 || c.ByClass != [6]int64{1: 1, 2: 1} {
		t.Errorf("after the old router's end: %+v %v", c, err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A router that was killed leaves predecessors that the next one finds.
func TestPredecessorIsFoundAfterAKill(t *testing.T) {
	w := newWorld(t)
	b1, b2 := numbered(1), numbered(2)
	defer b1.Close()
	defer b2.Close()
	w.recorded = []Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b1)}}
	_, end := w.supervise("v1")
	ws, wsReader := upgrade(t, w.addr)
	end()
	w.supervise("v2")
	pid := w.pid()
	syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "another router runs", func() bool { return w.pid() != pid })
	w.route("shop", 2, b2)
	var left *InFlightError
	if err := w.Drain(t.Context(), "shop", 1, 20*time.Millisecond); !errors.As(err, &left) || left.Requests != 1 {
		t.Errorf("%v", err)
	}
	echoes(t, ws, wsReader, "still there")
}

// A server with another address for HTTP, or another control over its router, gets a router so.
func TestOtherArgumentsReplaceTheRouter(t *testing.T) {
	w := newWorld(t)
	b := numbered(1)
	defer b.Close()
	w.recorded = []Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b)}}
	_, end := w.supervise("v1")
	end()
	before := w.addr
	w.addr = freeAddr(t)
	w.supervise("v1")
	if status, _ := w.get("shop.localhost", "/"); status != 200 {
		t.Errorf("at the new address: %d", status)
	}
	w.addr = before
	if res, err := http.DefaultClient.Do(w.request("GET", "shop.localhost", "/", nil)); err == nil {
		t.Errorf("at the old address: %s", res.Status)
		res.Body.Close()
	}
}

// Whoever is killed at whatever moment of a replacement, old router, new router or server: soon there is
// one router again, with the table, and apps answer.
func TestKilledAtAnyMomentOfAReplacement(t *testing.T) {
	w := newWorld(t)
	b := numbered(7)
	defer b.Close()
	w.recorded = []Route{{App: "shop", Release: 7, Upstreams: instances("shop", 7, b)}}
	routes, _ := json.Marshal(w.recorded)
	if err := os.WriteFile(filepath.Join(w.dir, "recorded.json"), routes, 0o600); err != nil {
		t.Fatal(err)
	}
	_, end := w.supervise("v0")
	end()
	var victims [4]int
	for i := range 40 {
		version := fmt.Sprint("v", i+1)
		old := 0
		eventually(t, "a router answers, also while one that a killed server had begun takes over", func() bool {
			h, err := w.Health(t.Context())
			old = h.PID
			return err == nil
		})
		server := startProcess(t, "server", "-dir", w.dir, "-listen", w.addr, "-version", version)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(rand.Int64N(int64(60 * time.Millisecond))))
		who := rand.N(len(victims))
		victims[who]++
		pids := [][]int{{old}, childrenOf(server.Process.Pid), {server.Process.Pid}, append(childrenOf(server.Process.Pid), old, server.Process.Pid)}[who]
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		what := fmt.Sprintf("round %d, victims %d: apps answer", i, who)
		answers := func() bool {
			res, err := http.DefaultClient.Do(w.request("GET", "shop.localhost", "/", nil))
			if err != nil {
				return false
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			return err == nil && string(b) == "release 7 "
		}
		if who < 2 { // the server that lives puts it right
			eventually(t, what, answers)
		}
		server.Process.Kill()
		server.Wait()
		_, end := w.supervise(version)
		if h, err := w.Health(t.Context()); err != nil || h.Version != version || !answers() {
			t.Fatalf("%s: %+v %v", what, h, err)
		}
		end()
	}
	t.Logf("killed: old router %d, new router %d, server %d, all %d times", victims[0], victims[1], victims[2], victims[3])
	s, _ := w.supervise("v41")
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "nothing but the log, the state and the lock is left", func() bool {
		sockets, err := filepath.Glob(filepath.Join(w.dir, "router.sock*"))
		return err == nil && len(sockets) == 1
	})
	eventually(t, "no router is left", func() bool { return len(routersIn(w.dir)) == 0 })
}

// childrenOf returns the processes that a process has started.
func childrenOf(pid int) []int {
	return processes(func(dir string) bool {
		b, _ := os.ReadFile(filepath.Join(dir, "stat"))
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		return len(f) > 1 && f[1] == fmt.Sprint(pid)
	})
}

// routersIn returns the routers, serving or leaving, of a data directory.
func routersIn(dir string) []int {
	return processes(func(proc string) bool {
		b, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		env, _ := os.ReadFile(filepath.Join(proc, "environ"))
		return strings.Contains(string(b), dir) && strings.Contains(string(env), roleEnv+"=router")
	})
}

func processes(match func(dir string) bool) []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && match(dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}
