package main

import (
	"bytes"
	"errors"
	"fmt"
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

	"slipway/deploy"
)

// crashWorld is a server with its data directory, the people who push to it, and the visitors of the app
// visited.
type crashWorld struct {
	t        *testing.T
	dir      string // what no crash touches: the people's machines
	data     string // the data directory
	disk     *crashDisk
	program  string
	env      []string
	ports    []string // ssh, http, proxy
	work     string   // alice's clone
	visitors *visitors
	commits  int

	serving, before production // now, and what serving replaced
	last            int        // the newest deployment
	excused         int        // deployments up to this one may have failed by a fault

	server *exec.Cmd
	serves bool // and is nothing in the server's place
	ended  chan struct{}
	log    *os.File
}

// production is what serves: a release and its revision.
type production struct {
	release  deploy.Number
	revision string
}

// crashProgram builds the server with kill points, and the app that is pushed to it.
func crashProgram(t *testing.T) (program, app string) {
	t.Helper()
	buildProgram(t) // and with it the hook
	dir := t.TempDir()
	program, app = filepath.Join(dir, "slipway"), filepath.Join(dir, "app")
	overlay := changesOverlay(t, t.TempDir())
	for out, args := range map[string][]string{program: {"-tags", "crash", "-overlay", overlay, "."}, app: {"./testdata/visited"}} {
		cmd := exec.Command("go", append([]string{"build", "-buildvcs=false", "-trimpath", "-o", out}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, b)
		}
	}
	return program, app
}

// newCrashWorld starts a server, and pushes the first revision of visited.
func newCrashWorld(t *testing.T, program, app string) *crashWorld {
	t.Helper()
	dir := t.TempDir()
	w := &crashWorld{t: t, dir: dir, program: program, data: filepath.Join(dir, "data"), work: filepath.Join(dir, "visited")}
	for _, folder := range []string{filepath.Dir(dir), dir} {
		w.must(os.Chmod(folder, 0o711)) // a sandboxed process must be able to pass through
	}
	var err error
	if w.disk, err = newCrashDisk(t, dir); err == nil {
		w.data = filepath.Join(w.disk.mountPoint, "data")
	} else {
		w.withoutDisk(err)
	}
	t.Cleanup(w.cleanUp) // before the disk is unmounted
	w.ports, err = freePorts(3)
	w.must(err)
	home := filepath.Join(dir, "home")
	w.must(os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
	w.must(makeKeys(home, w.ports[0]))
	w.must(wrapSSH(filepath.Join(dir, "bin"), home))
	w.env = append(os.Environ(), "HOME="+home, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "SLIPWAY_DATA="+w.data,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C.UTF-8",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.org", "GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.org")
	w.log, err = os.Create(filepath.Join(dir, "server.log"))
	w.must(err)
	w.must(os.Mkdir(w.data, 0o700))
	w.must(os.WriteFile(filepath.Join(w.data, "server.toml"), []byte(crashServer), 0o600))
	w.must(w.serve())
	for _, args := range [][]string{
		{"user", "add", "alice", "-key", filepath.Join(home, ".ssh", "alice.pub")},
		{"user", "add", "olga", "-role", "admin", "-key", filepath.Join(home, ".ssh", "olga.pub")},
		{"app", "create", "visited"}, {"app", "grant", "visited", "alice", "developer"},
	} {
		w.run(w.slipway(args...))
	}
	w.makeClone(app)
	w.visitors = startVisitors(t, w.ports[2])
	for range firstPushes {
		w.commit()
		w.run(w.git("push", "-q", "alice", "HEAD:main"))
	}
	w.settle(false)
	if t.Failed() {
		t.FailNow()
	}
	return w
}

// firstPushes are made before anybody visits.
const firstPushes = 3

// withoutDisk says what is not tested where there is no disk for a power cut.
func (w *crashWorld) withoutDisk(why error) {
	w.t.Helper()
	w.disk = nil
	said := fmt.Sprintf("NOT COVERED here: a power cut ends all processes at once, but loses nothing that was not synced. For that the test "+
		"mounts a file system of its own, as root and with a free loop device: %v", why)
	if os.Getenv("CRASH_DISK") == "required" {
		w.t.Fatal(said)
	}
	w.t.Log(said)
}

// crashServer gives the housekeeping, with which each server begins, something to do.
const crashServer = `keep_logs = "0d"
keep_rejected = 0
cache = "1KiB"
`

const crashManifest = `[build]
run = "cp answer built && head -c 2000 /dev/zero >/cache/$(cat answer)"

[test.unit]
run = "test ! -e broken"

[test.integration]
run = "cmp answer built"
needs = ["unit"]

[process.web]
run = "exec ./app"

[deploy]
release = "test -e built"
drain_timeout = "5s"
keep_releases = 2

[hooks]
before_deploy = "true"
after_accept = "true"
after_reject = "true"
after_rollback = "true"

[health]
path = "/up"

[monitor]
bake_time = "150ms"
interval = "30ms"
`

func (w *crashWorld) makeClone(app string) {
	w.t.Helper()
	w.must(os.Mkdir(w.work, 0o755))
	w.must(os.WriteFile(filepath.Join(w.work, "slipway.toml"), []byte(crashManifest), 0o600))
	program, err := os.ReadFile(app)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(w.work, "app"), program, 0o755))
	w.run(w.git("init", "-q", "-b", "main"))
	for _, who := range []string{"alice", "olga"} {
		w.run(w.git("remote", "add", who, "ssh://"+who+"/visited"))
	}
}

// commit makes a revision with no other files than these beside the app, and returns its id.
func (w *crashWorld) commit(files ...string) string {
	w.t.Helper()
	w.commits++
	for _, name := range []string{"sick", "broken"} {
		_ = os.Remove(filepath.Join(w.work, name))
	}
	for _, name := range append(files, "answer") {
		w.must(os.WriteFile(filepath.Join(w.work, name), []byte(strconv.Itoa(w.commits)+"\n"), 0o600))
	}
	w.run(w.git("add", "-A"))
	w.run(w.git("commit", "-q", "-m", fmt.Sprintf("Revision %d %s", w.commits, strings.Join(files, " "))))
	return strings.TrimSpace(w.run(w.git("rev-parse", "HEAD")))
}

func (w *crashWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *crashWorld) git(args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = w.work, w.env
	return cmd
}

func (w *crashWorld) slipway(args ...string) *exec.Cmd {
	cmd := exec.Command(w.program, args...)
	cmd.Env = w.env
	return cmd
}

// run runs a command that has to work, and returns what it prints.
func (w *crashWorld) run(cmd *exec.Cmd) string {
	w.t.Helper()
	var out, why bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &why, time.Second
	w.must(cmd.Start())
	defer time.AfterFunc(commandTime, func() { _ = cmd.Process.Kill() }).Stop()
	if err := cmd.Wait(); err != nil {
		w.t.Fatalf("%v: %v\n%s%s\n%s", cmd.Args, err, out.Bytes(), why.Bytes(), w.lastLog())
	}
	return out.String()
}

// start starts the server, or what is to run in its place, and does not wait for it.
func (w *crashWorld) start(instead []string, env ...string) {
	w.t.Helper()
	args := instead
	if args == nil {
		args = []string{"serve", "-ssh", w.at(w.ports[0]), "-http", w.at(w.ports[1]), "-proxy", w.at(w.ports[2])}
	}
	cmd := w.slipway(append([]string{"-data", w.data}, args...)...)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	w.must(cmd.Start())
	w.server, w.serves, w.ended = cmd, instead == nil, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(w.ended)
}

func (w *crashWorld) at(port string) string { return net.JoinHostPort("127.0.0.1", port) }

var errServerEnded = errors.New("the server has ended")

// ready waits until the server answers, has ended or was stopped. What runs in its place is ready at once.
func (w *crashWorld) ready() error {
	if !w.serves {
		return nil
	}
	return until(60*time.Second, func() error {
		select {
		case <-w.ended:
			return permanent{errServerEnded}
		default:
		}
		if state(w.server.Process.Pid) == 'T' {
			return nil
		}
		client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + w.at(w.ports[1]) + "/healthz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		conn, err := net.DialTimeout("tcp", w.at(w.ports[0]), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// serve starts a server that no kill point ends, and waits until it answers.
func (w *crashWorld) serve() error {
	w.start(nil)
	return w.ready()
}

// kill ends the server, however it is.
func (w *crashWorld) kill() {
	_ = w.server.Process.Kill()
	<-w.ended
}

// get asks an app for its revision.
func (w *crashWorld) get(app string) (string, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return whoServes(client, app, w.ports[2])
}

func (w *crashWorld) lastLog() string {
	b, _ := os.ReadFile(w.log.Name())
	return string(b[max(0, len(b)-6<<10):])
}

func (w *crashWorld) cleanUp() {
	if w.server != nil {
		_ = w.server.Process.Signal(syscall.SIGCONT)
		_ = w.slipway("shutdown").Run()
		select {
		case <-w.ended:
		case <-time.After(30 * time.Second):
		}
	}
	if err := w.killAll(); err != nil {
		w.t.Error(err)
	}
}
