package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scene is a server of its own for a test in Go, with the people of the scripts. Its apps belong to
// alice and bob.
type scene struct {
	testing.TB
	*scriptServer
	group string // of the server's cgroups
}

// newScene starts a server with this server.toml.
func newScene(t testing.TB, config string, apps ...string) *scene {
	t.Helper()
	env := &testscript.Env{WorkDir: t.TempDir(), Values: map[any]any{}}
	server, err := newScriptServer(env, buildProgram(t))
	must(t, err)
	data := env.Getenv("DATA")
	sum := sha256.Sum256([]byte(data))
	s := &scene{TB: t, scriptServer: server, group: "slipway-" + hex.EncodeToString(sum[:4])}
	must(t, os.MkdirAll(data, 0o711))
	must(t, os.WriteFile(filepath.Join(data, "server.toml"), []byte(config), 0o600))
	t.Cleanup(func() {
		s.cleanUp()
		log, _ := os.ReadFile(filepath.Join(env.WorkDir, "server.log"))
		if t.Failed() {
			t.Logf("the server said:\n%s", log)
		}
	})
	must(t, s.start())
	must(t, s.addPeople())
	for _, app := range apps {
		s.slipway("app", "create", app)
		s.slipway("app", "grant", app, "alice", "developer")
		s.slipway("app", "grant", app, "bob", "developer")
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// in is the scene within a subtest.
func (s *scene) in(t testing.TB) *scene {
	return &scene{TB: t, scriptServer: s.scriptServer, group: s.group}
}

// slipway runs a command of the operator's and returns what it printed.
func (s *scene) slipway(args ...string) string {
	s.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err != nil {
		s.Fatalf("slipway %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// run runs a program as the person at the keyboard.
func (s *scene) run(dir, name string, args ...string) (string, error) {
	cmd := s.prepared(dir, name, args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// prepared is a program with the scene's environment, in a process group of its own.
func (s *scene) prepared(dir, name string, args ...string) *exec.Cmd {
	if name == "ssh" {
		name = filepath.Join(s.env.WorkDir, "bin", "ssh")
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, s.env.Vars
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// pid is the server's process.
func (s *scene) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// processMemory returns the value of a line of /proc/PID/status, in KiB.
func processMemory(pid int, line string) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// growth runs f and returns by how many MiB the server's memory peaked above where it was before.
func (s *scene) growth(f func()) int {
	s.Helper()
	pid := s.pid()
	must(s, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)) // forget the peak: proc(5)
	before := processMemory(pid, "VmRSS")
	f()
	return (processMemory(pid, "VmHWM") - before) >> 10
}

// bounded fails if f makes the server's memory grow by more than so many MiB.
func (s *scene) bounded(most int, f func()) {
	s.Helper()
	grown := s.growth(f)
	s.Logf("the server's memory grew by %d MiB at most", grown)
	if grown > most {
		s.Errorf("the server's memory grew by %d MiB, more than %d", grown, most)
	}
}

// left lists what is there of pushes to an app that have ended: nothing, it is to be hoped.
func (s *scene) left(app string) []string {
	data := s.env.Getenv("DATA")
	repo := filepath.Join(data, "repos", app+".git")
	found := s.sandboxesLeft(app)
	for _, pattern := range []string{
		filepath.Join(data, "apps", app, "work", "*"), filepath.Join(data, "apps", app, "releases", "*.removing"),
		filepath.Join(repo, "objects", "tmp_objdir-*"), filepath.Join(repo, "objects", "pack", "tmp_*"),
		filepath.Join(repo, "objects", "pack", "*.keep"), filepath.Join(repo, "*.lock"),
		filepath.Join(data, "repos", ".tmp", "*"),
	} {
		files, err := filepath.Glob(pattern)
		must(s, err)
		found = append(found, files...)
	}
	for pid, line := range processes() {
		// The git that moves refs stays for the next transaction, for a minute.
		if strings.Contains(line, repo) && !strings.Contains(line, "update-ref -z --stdin") {
			found = append(found, fmt.Sprintf("process %d: %s", pid, line))
		}
	}
	return found
}

// sandboxesLeft lists the cgroups, folders of sockets, and processes of an app's builds, tests and hooks,
// and of its instances but those of the release that was accepted last.
func (s *scene) sandboxesLeft(app string) []string {
	belongs := s.ended(app)
	var found []string
	sockets, _ := filepath.Glob(filepath.Join("/run", s.group+"-*"))
	for _, path := range sockets {
		if belongs(strings.TrimPrefix(filepath.Base(path), s.group+"-")) {
			found = append(found, path)
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && filepath.Base(filepath.Dir(path)) == s.group && belongs(d.Name()) {
			found = append(found, path)
		}
		return nil
	})
	for pid, line := range processes() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		_, rest, _ := strings.Cut(string(b), s.group+"/")
		if name, _, _ := strings.Cut(rest, "\n"); belongs(name) {
			found = append(found, fmt.Sprintf("process %d: %s", pid, line))
		}
	}
	return found
}

// ended returns whether a sandbox by its name, 42-build or shop.42.web.1, is one that should have ended.
func (s *scene) ended(app string) func(name string) bool {
	step, serving := map[string]bool{}, ""
	for line := range strings.Lines(s.slipway("deployments", "-n", "1000", app)) {
		fields := strings.Fields(line)
		step[fields[0]] = true
		if serving == "" && fields[2] == "accepted" {
			serving = app + "." + fields[0] + "."
		}
	}
	return func(name string) bool {
		number, _, ok := strings.Cut(name, "-")
		return ok && step[number] || strings.HasPrefix(name, app+".") && (serving == "" || !strings.HasPrefix(name, serving))
	}
}

// processesOf are those that work for a deployment, in its sandboxes or on its tree.
func (s *scene) processesOf(app, number string) map[int]string {
	tree := filepath.Join(s.env.Getenv("DATA"), "apps", app, "work", number)
	found := map[int]string{}
	for pid, line := range processes() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		group := string(b)
		if strings.Contains(line, tree) || strings.Contains(group, s.group+"/"+number+"-") || strings.Contains(group, s.group+"/"+app+"."+number+".") {
			found[pid] = line
		}
	}
	return found
}

// processes are the command lines of all processes.
func processes() map[int]string {
	all := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if b, err := os.ReadFile(f); err == nil && len(b) > 0 {
			all[pid] = strings.ReplaceAll(string(b), "\x00", " ")
		}
	}
	return all
}

// clean waits until nothing is left of an app's pushes.
func (s *scene) clean(app string, within time.Duration) {
	s.Helper()
	if err := until(within, func() error {
		if left := s.left(app); len(left) > 0 {
			return fmt.Errorf("left behind: %q", left)
		}
		return nil
	}); err != nil {
		s.Error(err)
	}
}

// deployment returns the number and the status of the app's newest deployment.
func (s *scene) deployment(app string) (number, status string) {
	s.Helper()
	fields := strings.Fields(s.slipway("deployments", "-n", "1", app))
	if len(fields) < 3 {
		return "0", "none"
	}
	return fields[0], fields[2]
}

// serves waits until an app answers with the text.
func (s *scene) serves(app, text string) {
	s.Helper()
	must(s, until(30*time.Second, func() error {
		_, answer, err := s.ask(app, "/")
		if err == nil && !strings.Contains(answer, text) {
			err = fmt.Errorf("%s answers %s", app, answer)
		}
		return err
	}))
}
