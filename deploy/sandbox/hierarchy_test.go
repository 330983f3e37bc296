package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMount(t *testing.T) {
	tests := map[string]cgroupMount{
		"35 24 0:30 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory": {
			point: "/sys/fs/cgroup/memory", root: "/", version: 1, options: []string{"rw", "memory"}},
		"35 24 0:30 /docker/1f /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct": {
			point: "/sys/fs/cgroup/cpu,cpuacct", root: "/docker/1f", version: 1, options: []string{"rw", "cpu", "cpuacct"}},
		"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate": {
			point: "/sys/fs/cgroup", root: "/", version: 2, options: []string{"rw", "nsdelegate"}},
	}
	for line, want := range tests {
		got, found := parseMount(line)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(cgroupMount{})); diff != "" || !found {
			t.Errorf("%s: %s", line, diff)
		}
	}
	for _, line := range []string{"", "22 1 254:0 / / rw - ext4 /dev/vda rw", "1 - cgroup", "35 24 0:30 / /x"} {
		if m, found := parseMount(line); found {
			t.Errorf("%q: %+v", line, m)
		}
	}
}

// fakeV2 is a cgroup of version 2 as files in a folder: which are written, and how they are read.
func fakeV2(t *testing.T, files map[string]string) *cgroup {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "slipway", "name")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return (&hierarchy{version: 2, base: map[string]string{"": filepath.Dir(dir)}}).group("name")
}

func TestV2Files(t *testing.T) {
	g := fakeV2(t, map[string]string{
		"memory.max": "", "memory.swap.max": "", "pids.max": "", "cpu.max": "", "cgroup.procs": "",
		"memory.events":  "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\n",
		"pids.events":    "max 5\n",
		"memory.current": "5000\n", "memory.peak": "9000\n", "memory.stat": "anon 10\ninactive_file 1000\n",
		"cpu.stat": "usage_usec 1500\nuser_usec 1000\n",
	})
	if err := g.limit(Limits{Memory: 1 << 20, Processes: 10, CPU: 1.5}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"memory.max": "1048576", "memory.swap.max": "0", "pids.max": "12", "cpu.max": "150000 100000"} {
		if b, err := os.ReadFile(filepath.Join(g.main(), name)); err != nil || string(b) != want {
			t.Errorf("%s: %q %v, want %q", name, b, err, want)
		}
	}
	if kills, refusals := g.struck(); kills != 2 || refusals != 5 {
		t.Errorf("struck: %d %d", kills, refusals)
	}
	got, err := g.usage()
	if diff := cmp.Diff(Usage{CPU: 1500 * time.Microsecond, Memory: 4000, MaxMemory: 9000}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestDelegate: the controllers that there are are turned on from the top; only CPU may be missing.
func TestDelegate(t *testing.T) {
	for available, want := range map[string]string{"cpuset cpu io memory pids": "+memory +pids +cpu", "memory pids": "+memory +pids", "cpu pids": ""} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "slipway")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for path, content := range map[string]string{"cgroup.controllers": available + "\n", "cgroup.subtree_control": "", "slipway/cgroup.subtree_control": ""} {
			if err := os.WriteFile(filepath.Join(parent, path), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := delegate(parent, dir)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "controller memory is not delegated") {
				t.Errorf("%s: %v", available, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{parent, dir} {
			if b, err := os.ReadFile(filepath.Join(d, "cgroup.subtree_control")); err != nil || string(b) != want {
				t.Errorf("%s: %q %v, want %q", d, b, err, want)
			}
		}
	}
}

// TestV2ForReal forks into, lists, kills and removes a cgroup of a real v2 hierarchy, whatever controllers
// it has.
func TestV2ForReal(t *testing.T) {
	needRoot(t)
	mounts, err := cgroupMounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if m.version != 2 {
			continue
		}
		h := &hierarchy{version: 2, base: map[string]string{"": filepath.Join(m.point, testGroup())}, mounts: map[string]cgroupMount{"": m}}
		if err := os.Mkdir(h.base[""], 0o755); err != nil {
			t.Skip("needs a v2 hierarchy to write to:", err)
		}
		t.Cleanup(func() { os.Remove(h.base[""]) })
		s := newSandbox()
		s.groupsOnce.Do(func() { s.groups = h })
		inside := shell("setsid sleep 3.2109 & echo ready; wait")
		inside.Limits = Limits{}
		p, _ := started(t, s, t.Context(), inside)
		if u, err := s.Usage(inside.Name); err != nil || len(u.PIDs) < 4 || u.PIDs[0] == os.Getpid() {
			t.Errorf("%+v %v", u, err)
		}
		later := newSandbox() // of a server that has a cgroup of its own elsewhere
		elsewhere := map[string]string{"": filepath.Join(m.point, testGroup()+"-scope", testGroup())}
		later.groupsOnce.Do(func() { later.groups = &hierarchy{version: 2, base: elsewhere, mounts: h.mounts} })
		if u, err := later.Usage(inside.Name); err != nil || len(u.PIDs) < 4 {
			t.Errorf("from elsewhere: %+v %v", u, err)
		}
		if err := later.KillAll(t.Context(), inside.Name); err != nil {
			t.Error(err)
		}
		if r, err := p.Wait(); err != nil || r.Err() == nil {
			t.Errorf("%v %v", r, err)
		}
		gone(t, s, inside.Name, "3.2109")
		return
	}
	t.Skip("needs a v2 hierarchy")
}

func TestNoHierarchy(t *testing.T) {
	_, err := findV2(nil, "", "slipway")
	if err == nil || !strings.Contains(err.Error(), "no cgroup file system is mounted") {
		t.Error(err)
	}
	if _, err := findHierarchy("", "../x"); err == nil {
		t.Error("a group that leads elsewhere was taken")
	}
	if h, err := findV1(nil, "", "slipway"); h != nil || err != nil {
		t.Error(h, err)
	}
	if _, err := os.Stat("/sys/fs/cgroup/none"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a folder called none was made")
	}
}
