package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soak is a server with several apps, four developers with a clone of each, and visitors.
type soak struct {
	*crashWorld // for its server and what it can be asked
	apps        []string
	visitors    map[string]*soakVisitor
	number      atomic.Int64 // makes each revision another one

	mu     sync.Mutex
	pushes []attempted
}

const soakManifest = `[build]
run = ["test ! -e unbuilt", "if test -e slow; then sleep 60; fi", "cp answer built"]

[test.unit]
run = "test ! -e broken"

[process.web]
run = "test ! -e dead && exec ./app"

[deploy]
drain_timeout = "5s"
keep_releases = 2

[health]
path = "/up"

[monitor]
bake_time = %q
interval = "50ms"
`

// newSoak starts the server, registers everybody, and pushes a first revision of each app.
func newSoak(t *testing.T, apps int) *soak {
	t.Helper()
	_, app := crashProgram(t)
	dir := t.TempDir()
	s := &soak{crashWorld: &crashWorld{t: t, dir: dir, data: filepath.Join(dir, "data"), program: filepath.Join(buildProgram(t), "slipway")}}
	s.visitors = map[string]*soakVisitor{}
	for _, folder := range []string{filepath.Dir(dir), dir} {
		s.must(os.Chmod(folder, 0o711)) // a sandboxed process must be able to pass through
	}
	t.Cleanup(s.cleanUp)
	var err error
	s.ports, err = freePorts(3)
	s.must(err)
	home := filepath.Join(dir, "home")
	s.must(os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
	s.must(makeKeys(home, s.ports[0]))
	s.must(wrapSSH(filepath.Join(dir, "bin"), home))
	s.env = append(os.Environ(), "HOME="+home, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "SLIPWAY_DATA="+s.data,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C.UTF-8",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.org", "GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.org")
	s.log, err = os.Create(filepath.Join(dir, "server.log"))
	s.must(err)
	s.must(s.serve())
	s.register(home, apps, app)
	return s
}

// soakPeople are the developers by their keys; olga is an admin.
func soakPeople() map[string]string {
	return map[string]string{"alice": "alice", "bob": "bob", "carol": "vera", "olga": "olga"}
}

func (s *soak) register(home string, apps int, program string) {
	s.t.Helper()
	for who, key := range soakPeople() {
		role := "developer"
		if who == "olga" {
			role = "admin"
		}
		s.run(s.slipway("user", "add", who, "-role", role, "-key", filepath.Join(home, ".ssh", key+".pub")))
	}
	for i := range apps {
		name := fmt.Sprintf("app%d", i)
		s.apps = append(s.apps, name)
		s.run(s.slipway("app", "create", name))
		for _, who := range []string{"alice", "bob", "carol"} {
			s.run(s.slipway("app", "grant", name, who, "developer"))
		}
		s.first(name, program)
		for who, key := range soakPeople() {
			s.must(os.MkdirAll(filepath.Join(s.dir, who), 0o755))
			s.gitIn(filepath.Join(s.dir, who), "clone", "-q", "ssh://"+key+"/"+name)
		}
	}
}

// first pushes an app's first revision and lets visitors in.
func (s *soak) first(name, program string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "first-"+name)
	s.gitIn(s.dir, "init", "-q", "-b", "main", dir)
	b, err := os.ReadFile(program)
	s.must(err)
	s.must(os.WriteFile(filepath.Join(dir, "app"), b, 0o755))
	s.write(filepath.Join(dir, "answer"), name+"\n")
	s.write(filepath.Join(dir, "slipway.toml"), fmt.Sprintf(soakManifest, "200ms"))
	s.gitIn(dir, "add", "-A")
	s.gitIn(dir, "commit", "-q", "-m", "first")
	s.gitIn(dir, "push", "-q", "ssh://olga/"+name, "main")
	v := &soakVisitor{app: name, port: s.ports[2], allowed: map[string]bool{}, stop: make(chan struct{})}
	v.allow(string(bytes.TrimSpace([]byte(s.gitIn(dir, "rev-parse", "HEAD")))))
	s.visitors[name] = v
	v.done.Go(v.visit)
	s.t.Cleanup(v.end)
}

func (s *soak) write(name, text string) {
	s.t.Helper()
	s.must(os.WriteFile(name, []byte(text), 0o600))
}

// gitIn runs a git that has to work. It may be called beside others, unlike what ends a test.
func (s *soak) gitIn(dir string, args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, s.env
	var said bytes.Buffer
	cmd.Stderr = &said
	defer time.AfterFunc(soakPushTime, func() { _ = cmd.Process.Kill() }).Stop()
	out, err := cmd.Output()
	if err != nil {
		s.t.Errorf("%v: %v\n%s%s", cmd.Args, err, out, said.Bytes())
	}
	return string(out)
}

// soakVisitor asks one app all the time and wants whole answers of revisions that may serve.
type soakVisitor struct {
	app, port string
	stop      chan struct{}
	once      sync.Once
	done      sync.WaitGroup

	mu      sync.Mutex
	allowed map[string]bool
	answers int
	wrong   []string
}

func (v *soakVisitor) allow(revision string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.allowed[revision] = true
}

func (v *soakVisitor) end() {
	v.once.Do(func() { close(v.stop) })
	v.done.Wait()
}

func (v *soakVisitor) visit() {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-tick.C:
		}
		revision, err := whoServes(client, v.app, v.port)
		v.mu.Lock()
		v.answers++
		if err != nil {
			v.wrong = append(v.wrong, err.Error())
		} else if !v.allowed[revision] {
			v.wrong = append(v.wrong, "an answer of "+revision)
		}
		v.mu.Unlock()
	}
}
