package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// clone is the repository of a person at work on an app.
type clone struct {
	*scene
	who, app, dir string
}

// A small app: it answers with the content of the file answer.
const (
	smallApp = `import http.server, os

class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(open("answer").read().encode())
    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
`
	smallManifest = `
[process.web]
run = "exec python3 app.py"

[monitor]
bake_time = "100ms"
interval = "50ms"
`
)

// repository begins a repository with the small app in it, committed.
func (s *scene) repository(who, app string) *clone {
	s.Helper()
	c := &clone{scene: s, who: who, app: app, dir: s.TempDir()}
	c.git("init", "-q")
	c.git("remote", "add", "production", "ssh://"+who+"/"+app)
	c.commit("Open "+app, map[string]string{"app.py": smallApp, "answer": "hello\n", "slipway.toml": smallManifest})
	return c
}

// git has to succeed; it returns what git printed.
func (c *clone) git(args ...string) string {
	c.Helper()
	out, err := c.run(c.dir, "git", args...)
	if err != nil {
		c.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// follow goes to where production is, if there is one.
func (c *clone) follow() {
	c.Helper()
	c.git("fetch", "-q", "production")
	if _, err := c.run(c.dir, "git", "rev-parse", "-q", "--verify", "production/main"); err == nil {
		c.git("reset", "-q", "--hard", "production/main")
	}
}

// write writes files.
func (c *clone) write(files map[string]string) {
	c.Helper()
	for name, content := range files {
		path := filepath.Join(c.dir, name)
		must(c, os.MkdirAll(filepath.Dir(path), 0o755))
		must(c, os.WriteFile(path, []byte(content), 0o644))
	}
}

// commit writes files and commits everything.
func (c *clone) commit(subject string, files map[string]string) {
	c.Helper()
	c.write(files)
	c.git("add", ".")
	c.git("commit", "-q", "--allow-empty", "-m", subject)
}

// accepted pushes main, which has to be accepted.
func (c *clone) accepted() {
	c.Helper()
	c.contains(c.git("push", "production", "main"), "accepted: ")
}

// refused pushes, which has to be refused with all of want on the pusher's terminal.
func (c *clone) refused(args []string, want ...string) string {
	c.Helper()
	out, err := c.run(c.dir, "git", append([]string{"push"}, args...)...)
	if err == nil {
		c.Errorf("it was taken:\n%s", out)
	}
	c.contains(out, want...)
	return out
}

func (s *scene) contains(out string, want ...string) {
	s.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.Errorf("no %q in:\n%.4000s", w, out)
		}
	}
}

// goesOn shows that the next push works, and that nothing is left of those before.
func (c *clone) goesOn() {
	c.Helper()
	c.clean(c.app, 20*time.Second)
	next := c.repository("bob", c.app)
	next.follow()
	next.commit("Go on", map[string]string{"slipway.toml": smallManifest, "app.py": smallApp, "answer": "went on\n"})
	next.accepted()
	next.serves(c.app, "went on")
}

// client is a program that runs beside the test.
type client struct {
	*scene
	cmd  *exec.Cmd
	said *bytes.Buffer // only after end
	done chan error
}

// begin starts a program; it is killed at the end of the test.
func (c *clone) begin(name string, args ...string) *client {
	c.Helper()
	p := &client{scene: c.scene, cmd: c.prepared(c.dir, name, args...), said: &bytes.Buffer{}, done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.WaitDelay = time.Second
	must(c, p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	c.Cleanup(func() {
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGKILL)
	})
	return p
}

// signal reaches the program and all that it started.
func (p *client) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// end waits for the program's end and returns what it said.
func (p *client) end(within time.Duration) (string, error) {
	p.Helper()
	select {
	case err := <-p.done:
		return p.said.String(), err
	case <-time.After(within):
		p.Fatalf("%q did not end within %s", p.cmd.Args, within)
		return "", nil
	}
}
