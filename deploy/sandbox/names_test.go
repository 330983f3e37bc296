package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNameIsTaken(t *testing.T) {
	s := newSandbox()
	needCgroups(t, s)
	p, _ := started(t, s, t.Context(), shell("echo ready; sleep 60"))
	again := shell("true")
	again.Name = p.spec.Name
	if _, err := s.Start(t.Context(), again, Stdio{}); err == nil || !strings.Contains(err.Error(), "is running already") {
		t.Error(err)
	}
}

// TestAnotherProcess: what one process started, another sees and ends.
func TestAnotherProcess(t *testing.T) {
	for _, root := range []string{"", NoCgroups} {
		t.Run("cgroups="+root, func(t *testing.T) {
			s := New(Config{Group: testGroup(), CgroupRoot: root})
			inside := shell("sleep 8.7654 & setsid sleep 8.7655 & echo ready; wait")
			server := otherServer(t, inside, root)
			names, err := s.Names()
			if err != nil || !slices.Contains(names, inside.Name) {
				t.Errorf("names: %v %v", names, err)
			}
			usage, err := s.Usage(inside.Name)
			if err != nil || len(usage.PIDs) < 4 || usage.Memory == 0 {
				t.Errorf("usage: %+v %v", usage, err)
			}
			if err := s.KillAll(t.Context(), inside.Name); err != nil {
				t.Error(err)
			}
			server.Wait() // its own command line holds the marker
			gone(t, s, inside.Name, "8.765")
			if err := s.KillAll(t.Context(), inside.Name); err != nil {
				t.Errorf("again: %v", err)
			}
			if usage, err := s.Usage(inside.Name); err != nil || len(usage.PIDs) != 0 {
				t.Errorf("afterwards: %+v %v", usage, err)
			}
		})
	}
}

// otherServer starts spec from a process of its own, and returns when it prints "ready".
func otherServer(t *testing.T, spec Spec, root string) *exec.Cmd {
	t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(base, "probe", "probe"), string(b), testGroup(), root)
	cmd.Env = []string{probeVariable + "=server", "PATH=" + os.Getenv("PATH")}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line := make([]byte, 6)
	if _, err := io.ReadFull(output, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	return cmd
}

// TestStarterDies: a sandbox ends with the process that started it, and the next one can clear up.
func TestStarterDies(t *testing.T) {
	s := newSandbox()
	inside := shell("setsid sleep 9.8765 & echo ready; trap '' TERM; sleep 9.8764")
	server := otherServer(t, inside, "")
	server.Process.Kill()
	server.Wait()
	deadline := time.NewTimer(5 * time.Second)
	for running(t, "9.876") {
		select {
		case <-deadline.C:
			t.Fatal("it outlived its starter")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := s.KillAll(t.Context(), inside.Name); err != nil {
		t.Fatal(err)
	}
	gone(t, s, inside.Name, "9.876")
	inside.Argv = []string{"/bin/true"}
	must(t, s, inside) // the name is free again
}

// TestEndTrials: what a server was killed in the middle of trying is ended by the next one, and nothing else.
func TestEndTrials(t *testing.T) {
	for _, root := range []string{"", NoCgroups} {
		t.Run("cgroups="+root, func(t *testing.T) {
			s := New(Config{Group: testGroup(), CgroupRoot: root})
			trial, other := shell("echo ready; sleep 7.6543"), shell("echo ready; sleep 60")
			trial.Name = trialPrefix + trial.Name
			started(t, s, t.Context(), other)
			server := otherServer(t, trial, root)
			if err := s.EndTrials(t.Context()); err != nil {
				t.Error(err)
			}
			if u, err := s.Usage(trial.Name); err != nil || len(u.PIDs) > 0 {
				t.Fatalf("the trial: %+v, %v", u, err)
			}
			server.Wait() // its own command line holds the marker
			gone(t, s, trial.Name, "7.6543")
			if u, err := s.Usage(other.Name); err != nil || len(u.PIDs) == 0 {
				t.Errorf("the other sandbox: %+v, %v", u, err)
			}
		})
	}
}

// TestHalfACgroup: with v1 a cgroup is several folders, and its starter can be killed between two of them. What there
// is then is found by its name, and removed.
func TestHalfACgroup(t *testing.T) {
	s := newSandbox()
	needCgroups(t, s)
	h, err := s.hierarchy()
	if err != nil {
		t.Fatal(err)
	}
	name := spec().Name
	folders := h.group(name).folders()
	left := func() int {
		return len(slices.DeleteFunc(slices.Clone(folders), func(dir string) bool { _, err := os.Stat(dir); return err != nil }))
	}
	for n := range folders {
		for _, dir := range folders[:n+1] {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if names, err := s.Names(); err != nil || !slices.Contains(names, name) {
			t.Errorf("with %d folders: %v, %v", n+1, names, err)
		}
		if err := s.KillAll(t.Context(), name); err != nil || left() > 0 {
			t.Errorf("%d of %d folders are left: %v", left(), n+1, err)
		}
	}
	// One that cannot be removed for now keeps its name, whichever of its folders that is.
	for _, busy := range folders {
		g, err := h.create(name)
		if err != nil {
			t.Fatal(err)
		}
		sleeps := exec.Command("/bin/sleep", "60")
		if err := sleeps.Start(); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(busy, "cgroup.procs"), strconv.Itoa(sleeps.Process.Pid)); err != nil {
			t.Error(err)
		}
		if err := g.remove(0); !errors.Is(err, unix.EBUSY) || !g.exists() {
			t.Errorf("%s is busy, and the cgroup exists: %v; %v", busy, g.exists(), err)
		}
		_ = sleeps.Process.Kill()
		_ = sleeps.Wait()
		if err := s.KillAll(t.Context(), name); err != nil || left() > 0 {
			t.Errorf("%d folders are left: %v", left(), err)
		}
	}
}

// TestTidy: the folder of cgroups goes when it is empty, and comes back.
func TestTidy(t *testing.T) {
	s := New(Config{Group: testGroup() + "-tidy"})
	needCgroups(t, s)
	p, _ := started(t, s, t.Context(), shell("echo ready; sleep 60"))
	h, err := s.hierarchy()
	if err != nil {
		t.Fatal(err)
	}
	exist := func() (n int) {
		for _, dir := range h.base {
			if _, err := os.Stat(dir); err == nil {
				n++
			}
		}
		return n
	}
	if err := s.Tidy(); err != nil || exist() != len(h.base) {
		t.Errorf("%d of %d folders are left while a sandbox runs: %v", exist(), len(h.base), err)
	}
	p.Kill()
	p.Wait()
	if err := s.Tidy(); err != nil || exist() != 0 {
		t.Errorf("%d folders are left: %v", exist(), err)
	}
	must(t, s, shell("true"))
	if err := s.Tidy(); err != nil {
		t.Error(err)
	}
}
