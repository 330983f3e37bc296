package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clientTimeout is how long these servers wait for a client that says nothing.
const clientTimeout = 2 * time.Second

const impatient = `client_timeout = "2s"
`

// way is how a client gets lost.
type way struct {
	name string
	// push begins a push that lose ends.
	push func(*clone) (push *client, lose func())
	// notice is how long the server may take to find out.
	notice time.Duration
}

func waysToGetLost() []way {
	return []way{
		{"killed", pushAndKill, 0},
		{"channel", pushAndCloseChannel, 0},
		{"cut", pushAndCut, clientTimeout},
		{"stopped", pushAndStop, clientTimeout},
	}
}

func pushAndKill(c *clone) (*client, func()) {
	push := c.begin("git", "push", "production", "main")
	return push, func() { push.signal(syscall.SIGKILL) }
}

// pushAndCut goes through a network that falls silent: no connection is closed, nothing arrives.
func pushAndCut(c *clone) (*client, func()) {
	port, cut := silentNetwork(c, "127.0.0.1:"+c.env.Getenv("SSH_PORT"))
	push := c.begin("git", "-c", "core.sshCommand=ssh -o Port="+port, "push", "production", "main")
	return push, func() { close(cut) }
}

func pushAndStop(c *clone) (*client, func()) {
	push := c.begin("git", "push", "production", "main")
	return push, func() { push.signal(syscall.SIGSTOP) }
}

// pushAndCloseChannel pushes over a connection that lives on.
func pushAndCloseChannel(c *clone) (*client, func()) {
	socket := filepath.Join(c.TempDir(), "s")
	c.begin("ssh", "-o", "ControlMaster=yes", "-o", "ControlPath="+socket, "-N", c.who)
	must(c, until(10*time.Second, func() error { _, err := os.Stat(socket); return err }))
	push := c.begin("git", "-c", "core.sshCommand=ssh -o ControlPath="+socket, "push", "production", "main")
	return push, func() {
		push.signal(syscall.SIGKILL)
		if out, err := c.run("", "ssh", "-o", "ControlPath="+socket, "-O", "check", c.who); err != nil {
			c.Errorf("the shared connection is lost, too: %s", out)
		}
	}
}

// silentNetwork passes bytes on until cut is closed; then it keeps its connections and drops the bytes.
func silentNetwork(t testing.TB, to string) (port string, cut chan struct{}) {
	t.Helper()
	cut = make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	pass := func(dst, src net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := src.Read(buf)
			select {
			case <-cut: // an end is not passed on, either
				if err != nil {
					return
				}
				continue
			default:
			}
			_, _ = dst.Write(buf[:n])
			if err != nil {
				dst.Close()
				return
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				return
			}
			t.Cleanup(func() { client.Close(); server.Close() })
			go pass(server, client)
			go pass(client, server)
		}
	}()
	_, port, err = net.SplitHostPort(listener.Addr().String())
	must(t, err)
	return port, cut
}

// stage is a moment in which a deployment can be held.
type stage struct {
	name     string
	manifest string // with a place for a command that does not end
	files    int    // besides, to be checked out
	held     string // the command line of the process that holds it
}

func stagesBeforeSwitch() []stage {
	sleep := fmt.Sprintf("sleep 4321.%d", os.Getpid())
	return []stage{
		{"build", "[build]\nrun = \"%s\"\n" + smallManifest, 0, sleep},
		{"test unit", "[test.unit]\nrun = \"%s\"\n" + smallManifest, 0, sleep},
		{"test unit beside the app", "[test.unit]\nrun = \"%s\"\napp = true\n" + smallManifest, 0, sleep},
		{"hook before_deploy", "[hooks]\nbefore_deploy = \"%s\"\n" + smallManifest, 0, sleep},
		{"release command", "[deploy]\nrelease = \"%s\"\n" + smallManifest, 0, sleep},
		{"release, not ready", "[process.web]\nrun = \"exec %s\"\n[deploy]\nready_timeout = \"1m\"\n", 0, sleep},
		{"checkout", "# %s\n" + smallManifest, 40_000, "checkout-index"},
	}
}

// goneWithin is how soon a canceled deployment's processes have ended.
const goneWithin = 2 * time.Second

// TestLostBeforeSwitch loses clients in every stage before the switch: the deployment is canceled, and
// its processes are gone within two seconds of when the server could know. One client after the other, and
// those that fall silent together, since it is time that tells of them.
func TestLostBeforeSwitch(t *testing.T) {
	t.Parallel()
	ways := waysToGetLost()
	var apps []string
	for _, w := range ways {
		apps = append(apps, w.name)
	}
	s := newScene(t, impatient, apps...)
	clones := map[string]*clone{}
	for _, w := range ways {
		clones[w.name] = s.repository("alice", w.name)
		clones[w.name].accepted()
	}
	for _, at := range stagesBeforeSwitch() {
		t.Run(at.name, func(t *testing.T) {
			s := s.in(t)
			groups := [][]way{ways[:1], ways[1:2], ways[2:]}
			if at.files > 0 {
				groups = groups[:2] // it is over before a silence tells anything
			}
			for _, together := range groups {
				var held []*holding
				for _, w := range together {
					c := &clone{scene: s, who: "alice", app: w.name, dir: clones[w.name].dir}
					held = append(held, c.hold(w, at))
				}
				for _, h := range held {
					h.lose()
				}
				for _, h := range held {
					h.canceled()
					if at.files > 0 {
						must(t, s.not(s.slipway("log", h.number, "transcript"), "✓ checkout"))
					}
				}
			}
		})
	}
	clones[ways[0].name].goesOn()
}

// holding is a deployment in the midst of a stage.
type holding struct {
	*clone
	way
	stop      func()
	number    string
	processes map[string]int // file descriptors that tell when they have ended, by command line
	lostAt    time.Time
}

// hold pushes what stays in a stage, and waits until it is there.
func (c *clone) hold(w way, at stage) *holding {
	c.Helper()
	c.commit("Stay in "+at.name, map[string]string{"slipway.toml": fmt.Sprintf(at.manifest, at.held)})
	if at.files > 0 {
		c.commitTree(c.treeOf(at.files))
	}
	before, _ := c.deployment(c.app)
	h := &holding{clone: c, way: w}
	_, h.stop = w.push(c)
	h.number = c.inWork(c.app, before, at.held)
	return h
}

// inWork waits until a deployment after another one has a process with this in its command line.
func (s *scene) inWork(app, before, line string) (number string) {
	s.Helper()
	must(s, until(30*time.Second, func() error {
		if number, _ = s.deployment(app); number == before {
			return errors.New("no deployment")
		}
		for _, of := range s.processesOf(app, number) {
			if strings.Contains(of, line) {
				return nil
			}
		}
		return fmt.Errorf("deployment %s has no process %q", number, line)
	}))
	return number
}

// treeOf makes a tree with so many files more than HEAD has.
func (c *clone) treeOf(files int) string {
	c.Helper()
	const each = 250
	blob := c.input("x", "hash-object", "-w", "--stdin")
	var folder, all strings.Builder
	for i := range each {
		fmt.Fprintf(&folder, "100644 blob %s\tf%d\n", blob, i)
	}
	many := c.input(folder.String(), "mktree")
	for i := range files / each {
		fmt.Fprintf(&all, "040000 tree %s\tmany%d\n", many, i)
	}
	return c.input(c.git("ls-tree", "HEAD")+all.String(), "mktree")
}

// lose loses the client; from here on the deployment's processes are watched.
func (h *holding) lose() {
	h.Helper()
	h.processes = map[string]int{}
	for pid, line := range h.processesOf(h.app, h.number) {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		must(h, err)
		h.Cleanup(func() { unix.Close(fd) })
		h.processes[fmt.Sprintf("%d %s", pid, line)] = fd
	}
	h.lostAt = time.Now()
	h.stop()
}

// canceled waits until the deployment is, with nothing left of it.
func (h *holding) canceled() {
	h.Helper()
	by := h.lostAt.Add(h.notice + goneWithin)
	for line, fd := range h.processes {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := 0, error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Poll(poll, max(0, int(time.Until(by).Milliseconds())))
		}
		if must(h, err); n == 0 {
			h.Errorf("%s: after %s there still is: %.200s", h.name, time.Since(h.lostAt), line)
		}
	}
	h.Logf("%s: %d processes were gone %s before they had to be", h.name, len(h.processes), time.Until(by).Round(10*time.Millisecond))
	must(h, until(20*time.Second, func() error { return h.says(h.slipway("deployments", h.app), h.number+"  "+h.app+"  canceled") }))
	h.clean(h.app, 20*time.Second)
	if _, answer, err := h.ask(h.app, "/"); err != nil || !strings.Contains(answer, "hello") {
		h.Errorf("%s answers %s, %v", h.app, answer, err)
	}
	h.contains(h.slipway("log", h.number, "transcript"), "canceled: the pusher went away", "production still serves ")
}

// TestLostWhileWaiting loses clients in the queue: the others move up, and who works is not disturbed.
func TestLostWhileWaiting(t *testing.T) {
	t.Parallel()
	s := newScene(t, impatient)
	first := s.repository("bob", "shop")
	first.accepted()
	first.commit("Build until canceled", map[string]string{"slipway.toml": "[build]\nrun = \"echo building; while [ ! -e /cache/go ]; do sleep 0.1; done\"\n" + smallManifest, "answer": "built\n"})
	ahead := first.begin("git", "push", "production", "main")
	s.await("2", "building")
	c := s.repository("alice", "shop")
	c.git("fetch", "-q", "ssh://alice/shop", "refs/slipway/deployments/2")
	c.git("reset", "-q", "--hard", "FETCH_HEAD")
	for i, w := range waysToGetLost() {
		c.commit("Wait", map[string]string{"wait": w.name})
		_, lose := w.push(c)
		n := fmt.Sprint(3 + i)
		must(t, until(10*time.Second, func() error { return s.says(s.slipway("status"), "deployment "+n+" by alice: waiting at place 1 ") }))
		lose()
		must(t, until(w.notice+10*time.Second, func() error { return s.not(s.slipway("status"), "alice") }))
		s.contains(s.slipway("deployments"), n+"  shop  canceled")
	}
	must(t, os.WriteFile(filepath.Join(s.env.Getenv("DATA"), "apps", "shop", "cache", "home", "go"), nil, 0o644))
	out, err := ahead.end(20 * time.Second)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	s.clean("shop", 20*time.Second)
}

// await waits until a log of a deployment says text.
func (s *scene) await(n, text string) {
	s.Helper()
	must(s, until(20*time.Second, func() error {
		files, _ := filepath.Glob(filepath.Join(s.env.Getenv("DATA"), "deployments", n, "*.log"))
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(text)) {
				return nil
			}
		}
		return fmt.Errorf("no log of deployment %s says %q", n, text)
	}))
}

func (s *scene) says(out, text string) error {
	if !strings.Contains(out, text) {
		return fmt.Errorf("no %q in %s", text, out)
	}
	return nil
}

func (s *scene) not(out, text string) error {
	if strings.Contains(out, text) {
		return fmt.Errorf("still %q in %s", text, out)
	}
	return nil
}

// TestLostFromSwitchOn loses clients under watch: the deployment runs to its verdict, good or bad, and
// watching it tells everything that was said so far, and the rest.
func TestLostFromSwitchOn(t *testing.T) {
	t.Parallel()
	ways := waysToGetLost()
	var apps []string
	for _, w := range ways {
		apps = append(apps, w.name)
	}
	s := newScene(t, impatient, apps...)
	const watched = "[process.web]\nrun = \"exec python3 app.py\"\n[hooks]\nafter_accept = \"sleep 0.5\"\n[monitor]\nbake_time = \"4s\"\ninterval = \"50ms\"\n"
	ending := strings.Replace(smallApp, "        self.send_response", "        if self.path == '/end': os._exit(3)\n        self.send_response", 1)
	for _, verdict := range []struct{ name, app, said string }{
		{"accepted", smallApp, "accepted: http://"},
		{"rejected", ending, "✗ monitor"},
	} {
		t.Run(verdict.name, func(t *testing.T) {
			s := s.in(t)
			var watchers []*client
			for _, w := range ways {
				c := s.repository("alice", w.name)
				c.follow()
				c.commit("Be "+verdict.name, map[string]string{"slipway.toml": watched, "answer": "be " + verdict.name + "\n", "app.py": verdict.app})
				_, lose := w.push(c)
				s.serves(w.name, "be "+verdict.name)
				lose()
				n, _ := s.deployment(w.name)
				must(t, until(20*time.Second, func() error { return s.says(s.slipway("log", n, "transcript"), "✓ switch") }))
				if verdict.app == ending {
					_, _, _ = s.ask(w.name, "/end") // it does not live to answer
				}
				watchers = append(watchers, c.begin("ssh", "bob", "watch", n))
			}
			for i, w := range ways {
				out, err := watchers[i].end(60 * time.Second)
				n, status := s.deployment(w.name)
				s.contains(out, w.name+"  deployment "+n+"  ", "✓ checkout", "✓ release", "✓ switch", verdict.said)
				if (err == nil) != (status == "accepted") || status != verdict.name {
					t.Errorf("%s: %s, watched with %v", w.name, status, err)
				}
				s.serves(w.name, "be accepted")
				s.clean(w.name, 20*time.Second)
			}
		})
	}
}
