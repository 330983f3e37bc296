package sandbox

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStory: a build runs in its tree, sees nothing else, leaves its artifact, and is gone.
func TestStory(t *testing.T) {
	s := newSandbox()
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	tree, cache := folder(t, s, 7), folder(t, s, 7)
	if err := os.WriteFile(filepath.Join(tree, "make.sh"), []byte("mkdir bin\nid -un > bin/who\npwd\necho $HOME\nls /home 2>&1\ntouch /cache/used\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p, err := s.Start(t.Context(), Spec{
		Name: "42-build", ID: 7, Argv: []string{"/bin/sh", "-e", "make.sh"}, Dir: "/app",
		Env:     []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/cache"},
		Mounts:  []Mount{{Source: tree, Target: "/app", Writable: true}, {Source: cache, Target: "/cache", Writable: true}},
		Limits:  Limits{Memory: 256 << 20, Processes: 64, CPU: 2, FileSize: 1 << 30, Disk: 1 << 30, Time: time.Minute},
		Watched: []string{tree, cache},
	}, Stdio{Out: &log, Err: &log})
	if err != nil {
		t.Fatal(err)
	}
	result, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if result.String() != "exit status 2" { // ls found no /home
		t.Errorf("%v\n%s", result, log.String())
	}
	want := "/app\n/cache\nls: cannot access '/home': No such file or directory\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(filepath.Join(tree, "bin", "who")); err != nil || string(b) != "app\n" {
		t.Errorf("artifact: %q %v", b, err)
	}
	gone(t, s, "42-build", "make.sh")
}

func TestSpecIsChecked(t *testing.T) {
	s := newSandbox()
	for want, change := range map[string]func(*Spec){
		"sandbox name":     func(s *Spec) { s.Name = "../x" },
		"no command":       func(s *Spec) { s.Argv = nil },
		"not absolute":     func(s *Spec) { s.Dir = "app" },
		"NUL":              func(s *Spec) { s.Env = []string{"A=b\x00--bind"} },
		"not NAME=value":   func(s *Spec) { s.Env = []string{"A"} },
		"must be absolute": func(s *Spec) { s.Mounts = []Mount{{Source: "tree", Target: "/app"}} },
		"below /":          func(s *Spec) { s.Mounts = []Mount{{Source: "/usr", Target: "/."}} },
	} {
		spec := shell("true")
		change(&spec)
		if _, err := s.Start(t.Context(), spec, Stdio{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestSpecSurvivesJSON(t *testing.T) {
	before := shell("true")
	before.HostNetwork, before.Watched = true, []string{"/x"}
	before.Limits = Limits{Memory: 1, Processes: 2, CPU: 0.5, FileSize: 3, Disk: 4, Time: time.Second}
	b, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	var after Spec
	if err := json.Unmarshal(b, &after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
}

// TestWithoutCgroups: memory and processes are polled where nothing better can be had, and Check says so.
func TestWithoutCgroups(t *testing.T) {
	s := New(Config{Group: testGroup(), CgroupRoot: NoCgroups})
	if w := s.Weaknesses(); len(w) != 1 || !strings.Contains(w[0], "memory and processes are polled") {
		t.Errorf("%q", w)
	}
	memory, processes, files := probe("alloc", "200", "stay"), probe("spawn", "40", "stay"), probe("fill", "/tmp/file", "100", "stay")
	memory.Limits.Memory, files.Limits.Memory, processes.Limits.Processes = 64<<20, 64<<20, 30
	for want, spec := range map[string][]Spec{"memory limit of 64 MiB reached": {memory, files}, "process limit of 30 reached": {processes}} {
		for _, spec := range spec {
			if r, output := finish(t, s, spec); r.String() != want || r.Usage.CPU == 0 {
				t.Errorf("%+v, want %s\n%s", r, want, output)
			}
			gone(t, s, spec.Name, "no-such-marker")
		}
	}
}

// TestOrdinaryUser: a server that is not root has a sandbox all the same.
func TestOrdinaryUser(t *testing.T) {
	needRoot(t)
	cmd := exec.Command(filepath.Join(base, "probe", "probe"), testGroup(), filepath.Join(base, "probe", "probe"))
	cmd.Env = []string{probeVariable + "=checkuser", "PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.SysProcAttr = credential(New(Config{FirstID: 54321}), 0)
	output, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "memory limit of 128 MiB reached") {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestModeNone(t *testing.T) {
	for _, root := range []string{"", NoCgroups} {
		t.Run("cgroups="+root, func(t *testing.T) {
			s := New(Config{Group: testGroup(), Mode: ModeNone, CgroupRoot: root})
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			dir := folder(t, s, 7)
			if s.Inside() || s.Path(dir, "/app") != dir {
				t.Error("it claims to have paths of its own")
			}
			here := shell("pwd; id -u; touch file; exit 3")
			here.Dir = dir
			r, output := finish(t, s, here)
			uid, _ := s.HostID(7)
			if r.String() != "exit status 3" || output != dir+"\n"+strconv.Itoa(uid)+"\n" {
				t.Errorf("%v %q", r, output)
			}
			long := shell("setsid sleep 6.7891 & (setsid sleep 6.7892 &) ; trap '' TERM; sleep 6.7893; sleep 6.7894")
			long.Limits.Time = 500 * time.Millisecond
			if r, _ := finish(t, s, long); r.String() != "time limit of 500ms reached; all its processes were ended" {
				t.Errorf("%+v", r)
			}
			gone(t, s, long.Name, "6.789")
			daemon := shell("setsid sleep 6.7895 & exit 0")
			if r, _ := finish(t, s, daemon); r.Err() != nil {
				t.Errorf("%+v", r)
			}
			gone(t, s, daemon.Name, "6.789")
		})
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := newSandbox().Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "bwrap is not in PATH\ninstall it: apt-get install bubblewrap") {
		t.Error(err)
	}
	old := filepath.Join(t.TempDir(), "bwrap")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho bubblewrap 0.6.1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err = New(Config{Group: testGroup(), Bubblewrap: old}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "bubblewrap 0.6.1 is too old: 0.8.0 or newer is needed") {
		t.Error(err)
	}
}
