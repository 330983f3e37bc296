//go:build bench

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
)

// place is where everything is measured: a folder, a server that runs in it, and a person with a key.
type place struct {
	t       *testing.T // of the whole run, for clearing up
	dir     string
	data    deploy.Layout
	program string
	ssh     int // ports
	proxy   int
	env     []string
	server  *exec.Cmd
	sshd    *sshServer // nil if there is none
	noSSHD  string     // why not
	idle    [2]memory  // of server and router that have done nothing yet
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: dir, data: deploy.Layout(filepath.Join(dir, "data")), program: filepath.Join(buildProgram(t), "slipway")}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"", "home", "toolchain/bin", "data"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, sub), 0o755), os.Chmod(filepath.Join(dir, sub), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	p.makePerson(t)
	p.run(t, "", "go", "build", "-o", filepath.Join(dir, "toolchain", "bin", "benchapp"), "./testdata/benchapp")
	p.startServer(t)
	p.idle = [2]memory{memoryOf(t, p.server.Process.Pid), memoryOf(t, p.processes("router")...)}
	p.slipway(t, "user", "add", "ann", "-role", "admin", "-key", filepath.Join(dir, "key.pub"))
	p.startSSHD(t)
	return p
}

// makePerson makes a key, and an environment in which git and ssh use it and nothing of the user who
// runs the benchmarks.
func (p *place) makePerson(t *testing.T) {
	t.Helper()
	p.run(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(p.dir, "key"))
	write(t, filepath.Join(p.dir, "ssh_config"), fmt.Sprintf("Host *\n  IdentityFile %[1]s/key\n  IdentitiesOnly yes\n  UserKnownHostsFile %[1]s/known_hosts\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n", p.dir))
	write(t, filepath.Join(p.dir, "gitconfig"), "[user]\nname = Ann\nemail = ann@example.org\n[init]\ndefaultBranch = main\n[gc]\nauto = 0\n[maintenance]\nauto = false\n[safe]\ndirectory = *\n")
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "SSH_") && !strings.HasPrefix(kv, "SLIPWAY_") {
			p.env = append(p.env, kv)
		}
	}
	p.env = append(p.env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+filepath.Join(p.dir, "gitconfig"),
		"GIT_SSH_COMMAND=ssh -F "+filepath.Join(p.dir, "ssh_config"), "GIT_TERMINAL_PROMPT=0",
		"LC_ALL=C.UTF-8", "SLIPWAY_DATA="+string(p.data))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a program in dir and returns what it printed.
func (p *place) run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, p.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (p *place) slipway(t *testing.T, args ...string) string {
	t.Helper()
	return p.run(t, "", p.program, args...)
}

func ports(t *testing.T, n int) []int {
	t.Helper()
	var all []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().(*net.TCPAddr).Port)
	}
	return all
}

func (p *place) startServer(t *testing.T) {
	t.Helper()
	free := ports(t, 3)
	p.ssh, p.proxy = free[0], free[1]
	write(t, p.data.Config(), fmt.Sprintf("ssh = \"127.0.0.1:%d\"\nproxy = \"127.0.0.1:%d\"\nhttp = \"127.0.0.1:%d\"\ntoolchains = [%q]\n", free[0], free[1], free[2], filepath.Join(p.dir, "toolchain")))
	log, err := os.Create(filepath.Join(p.dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.server = exec.Command(p.program, "serve")
	p.server.Env, p.server.Stdout, p.server.Stderr = p.env, log, log
	if err := p.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stopServer)
	err = until(30*time.Second, func() error { return exec.Command(p.program, "-data", string(p.data), "status").Run() })
	if err != nil {
		t.Fatalf("the server does not answer: %v\n%s", err, p.serverLog())
	}
}

func (p *place) serverLog() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "server.log"))
	return string(b)
}

// stopServer ends the server, the router and all instances.
func (p *place) stopServer() {
	if p.t.Failed() {
		log := p.serverLog()
		p.t.Log("the server's last words:\n" + log[max(0, len(log)-4000):])
	}
	if out, err := exec.Command(p.program, "-data", string(p.data), "shutdown").CombinedOutput(); err != nil {
		p.t.Errorf("shutdown: %v\n%s", err, out)
		_ = p.server.Process.Kill()
	}
	_ = p.server.Wait()
}

// processes are the ids of those whose command line names the data directory and the word.
func (p *place) processes(word string) []int {
	var found []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		args := strings.Split(string(line), "\x00")
		if len(args) > 1 && (args[0] == p.program || args[0] == p.data.Aside()) && args[1] == word && strings.Contains(string(line), string(p.data)) {
			found = append(found, pid)
		}
	}
	return found
}

// settled waits until n instances are left: replaced ones end while their pusher has the answer already,
// and would be in the way of what is measured next.
func (p *place) settled(t *testing.T, n int) {
	t.Helper()
	err := until(time.Minute, func() error {
		if found := len(p.processes("keeper")); found != n {
			return fmt.Errorf("%d keepers instead of %d", found, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// manifest is the least that goes through every stage.
const benchManifest = `[build]
run = "true"

[test.unit]
run = "true"

[process.web]
run = "exec benchapp"
env = { BENCH_DELAY = "0s" }

[monitor]
bake_time = "0s"
`

// tree is a work tree of ann's.
type tree struct {
	*place
	t   *testing.T
	dir string
	n   int
}

// newTree makes a repository with a first commit that can be deployed.
func (p *place) newTree(t *testing.T, name, manifest string) *tree {
	t.Helper()
	w := &tree{place: p, t: t, dir: filepath.Join(p.dir, "home", name)}
	p.run(t, "", "git", "init", "-q", w.dir)
	write(t, filepath.Join(w.dir, "slipway.toml"), manifest)
	w.commit()
	return w
}

func (w *tree) git(args ...string) string {
	w.t.Helper()
	return w.run(w.t, w.dir, "git", args...)
}

// commit makes another small commit.
func (w *tree) commit() {
	w.t.Helper()
	w.n++
	write(w.t, filepath.Join(w.dir, "counter"), strconv.Itoa(w.n)+"\n")
	w.git("add", ".")
	w.git("commit", "-q", "-m", fmt.Sprintf("commit %d", w.n))
}

func (w *tree) push(remote string) { w.t.Helper(); w.git("push", "-q", remote, "main") }

// url is where an app is pushed to.
func (p *place) url(app string) string { return fmt.Sprintf("ssh://git@127.0.0.1:%d/%s", p.ssh, app) }

// newApp makes an app and a tree whose remote slipway it is.
func (p *place) newApp(t *testing.T, name, manifest string) *tree {
	t.Helper()
	p.slipway(t, "app", "create", name)
	w := p.newTree(t, name, manifest)
	w.git("remote", "add", "slipway", p.url(name))
	return w
}

// removeApp ends what an app runs.
func (p *place) removeApp(t *testing.T, name string) {
	t.Helper()
	p.slipway(t, "app", "remove", name, "-confirm", name)
}
