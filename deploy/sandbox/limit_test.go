package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLimits strikes each limit with a command that would succeed without it, and reads what the pusher
// would read.
func TestLimits(t *testing.T) {
	s := newSandbox()
	needCgroups(t, s)
	tests := []struct {
		name   string
		spec   Spec
		limits Limits
		want   string
	}{
		{"memory", probe("alloc", "200"), Limits{Memory: 64 << 20}, "memory limit of 64 MiB reached"},
		{"memory of a child", shell("SANDBOX_PROBE=alloc /probe/probe 200; exit 1"), Limits{Memory: 64 << 20}, "memory limit of 64 MiB reached"},
		{"memory by files in /tmp", probe("fill", "/tmp/file", "100"), Limits{Memory: 32 << 20}, "memory limit of 32 MiB reached"},
		{"memory in pipes", probe("pipes", "40"), Limits{Memory: 24 << 20}, "memory limit of 24 MiB reached"},
		{"memory in sockets", probe("sockets", "150"), Limits{Memory: 64 << 20}, "memory limit of 64 MiB reached"},
		{"memory in files without a name", probe("memfd", "150"), Limits{Memory: 64 << 20}, "memory limit of 64 MiB reached"},
		{"memory that is shared", probe("shared", "150"), Limits{Memory: 64 << 20}, "memory limit of 64 MiB reached"},
		{"memory by files in /dev/shm", probe("fill", "/dev/shm/file", "100"), Limits{Memory: 32 << 20}, "memory limit of 32 MiB reached"},
		{"memory for inodes", probe("empty", "/tmp", "60000"), Limits{Memory: 32 << 20}, "memory limit of 32 MiB reached"},
		{"threads", probe("threads", "60"), Limits{Processes: 40}, "process limit of 40 reached"},
		{"zombies", probe("zombies", "40"), Limits{Processes: 30}, "process limit of 30 reached"},
		{"processes", probe("spawn", "40"), Limits{Processes: 30}, "process limit of 30 reached"},
		{"time", spec("/bin/sleep", "60"), Limits{Time: 300 * time.Millisecond}, "time limit of 300ms reached; all its processes were ended"},
		{"file size", shell("head -c 3000000 /dev/zero > /tmp/file"), Limits{FileSize: 2 << 20}, "file size limit of 2 MiB reached"},
		{"disk in /tmp", shell("SANDBOX_PROBE=fill /probe/probe /tmp/file 80 || { sleep 0.5; exit 1; }"), Limits{Disk: 20 << 20}, "disk limit of 20 MiB reached; all its processes were ended"},
		{"disk in /dev/shm", shell("SANDBOX_PROBE=fill /probe/probe /dev/shm/file 80 || { sleep 0.5; exit 1; }"), Limits{Disk: 20 << 20}, "disk limit of 20 MiB reached; all its processes were ended"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			free := test.spec
			free.Name += "-free"
			free.Limits = Limits{}
			if test.name != "time" && test.name != "memory of a child" {
				must(t, s, free)
			}
			test.spec.Limits = test.limits
			r, output := finish(t, s, test.spec)
			if r.Struck != test.want || r.Err() == nil || r.Err().Error() != test.want {
				t.Errorf("struck %q, error %v, want %q\n%s", r.Struck, r.Err(), test.want, output)
			}
		})
	}
}

// TestDiskLimitOfWatchedFolder takes room in each way that there is. With room for it each succeeds; with less it
// is ended, and a little fits all the same, since what was there before does not count.
func TestDiskLimitOfWatchedFolder(t *testing.T) {
	s := newSandbox()
	for name, way := range map[string][]string{
		"a file":                {"fill", "/app/file", "60"},
		"a file without a name": {"unlinked", "/app/file", "60"},
		"a file below more folders than a path can name": {"deep", "/app", "60"},
		"inodes": {"empty", "/app", "20000"},
	} {
		t.Run(name, func(t *testing.T) {
			within := func(dir string, limit int64, probe Spec) Spec {
				probe.Mounts = append(probe.Mounts, Mount{Source: dir, Target: "/app", Writable: true})
				probe.Watched, probe.Limits.Disk = []string{dir}, limit
				return probe
			}
			dir, roomy := folder(t, s, 7), folder(t, s, 7)
			must(t, s, within(roomy, 1<<30, probe(way[0], way[1:]...)))
			if err := os.WriteFile(filepath.Join(dir, "before"), make([]byte, 30<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			// It stays until it is looked at.
			r, output := finish(t, s, within(dir, 20<<20, probe(way[0], append(way[1:], "stay")...)))
			if want := "disk limit of 20 MiB reached; all its processes were ended"; r.Struck != want {
				t.Errorf("%q, want %q\n%s", r.Struck, want, output)
			}
			must(t, s, within(dir, 20<<20, probe("fill", "/app/small", "10")))
			if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(roomy)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFileSizeLimitHandled: a program that ignores the signal and fails by itself has met the limit too.
func TestFileSizeLimitHandled(t *testing.T) {
	s := newSandbox()
	dir := folder(t, s, 7)
	inside := shell("trap '' XFSZ; head -c 3000000 /dev/zero > /app/file || exit 1")
	inside.Mounts = append(inside.Mounts, Mount{Source: dir, Target: "/app", Writable: true})
	inside.Watched, inside.Limits.FileSize = []string{dir}, 1<<20
	if r, output := finish(t, s, inside); r.String() != "file size limit of 1 MiB reached" {
		t.Errorf("%v %s", r, output)
	}
}

func TestLimitSurvived(t *testing.T) {
	s := newSandbox()
	needCgroups(t, s)
	inside := shell("SANDBOX_PROBE=alloc /probe/probe 200; echo went on")
	inside.Limits.Memory = 64 << 20
	r, output := finish(t, s, inside)
	if r.Err() != nil || r.Struck != "memory limit of 64 MiB reached" || !strings.Contains(output, "went on") {
		t.Errorf("%+v %s", r, output)
	}
}

func TestCPULimit(t *testing.T) {
	s := newSandbox()
	needCgroups(t, s)
	inside := probe("burn")
	inside.Limits = Limits{CPU: 0.2, Time: 1500 * time.Millisecond}
	r, _ := finish(t, s, inside)
	if r.Usage.CPU == 0 || r.Usage.CPU > 750*time.Millisecond {
		t.Errorf("with 0.2 cores it used %v in 1.5 s", r.Usage.CPU)
	}
}

func TestRlimits(t *testing.T) {
	inside := probe("rlimits")
	inside.Limits.FileSize = 12345678
	lines := strings.Split(must(t, newSandbox(), inside), "\n")
	var current, highest uint64
	if _, err := fmt.Sscan(lines[2], &current, &highest); err != nil || current > openFiles || current != highest {
		t.Errorf("open files: %q", lines[2])
	}
	if lines[0] != "0 0" || lines[1] != "12345678 12345678" {
		t.Errorf("core, file size: %q", lines[:2])
	}
}

// TestLimitsHoldFromTheFirstInstruction: even a command that is one process has no more than its limit.
func TestLimitsHoldFromTheFirstInstruction(t *testing.T) {
	s := newSandbox()
	needCgroups(t, s)
	p, _ := started(t, s, t.Context(), shell("echo ready; sleep 60"))
	usage, err := s.Usage(p.spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	if len(usage.PIDs) < 3 || usage.Memory == 0 {
		t.Errorf("%+v: want bubblewrap's two processes and the command's", usage)
	}
	for _, pid := range usage.PIDs {
		if pid == os.Getpid() {
			t.Error("the server itself is in the cgroup")
		}
	}
}

// TestNothingIsLeft ends sandboxes in every way there is. Each has a daemon that left its process group and
// session, and a process that ignores SIGTERM.
func TestNothingIsLeft(t *testing.T) {
	s := newSandbox()
	const daemons = `trap '' TERM
(setsid sh -c 'trap "" TERM HUP; while :; do sleep 5.4321; done' marker-%[1]s >/dev/null 2>&1 &)
(sh -c 'sleep 6.5432' marker-%[1]s &)
echo ready
`
	ends := []struct {
		name, script string
		end          func(p *Process, cancel context.CancelCauseFunc)
		check        func(r Result, err error) bool
	}{
		{"by itself", "", func(*Process, context.CancelCauseFunc) {},
			func(r Result, err error) bool { return err == nil && r.Err() == nil }},
		{"failing", "exit 9", func(*Process, context.CancelCauseFunc) {},
			func(r Result, err error) bool { return err == nil && r.String() == "exit status 9" }},
		{"by kill", "sleep 7.6543; sleep 7", func(p *Process, _ context.CancelCauseFunc) { p.Kill() },
			func(r Result, err error) bool { return err == nil && r.Signal == syscall.SIGKILL && r.Struck == "" }},
		{"by the context", "sleep 7.6543; sleep 7", func(_ *Process, cancel context.CancelCauseFunc) { cancel(errors.New("the pusher left")) },
			func(r Result, err error) bool {
				return err != nil && strings.Contains(err.Error(), "the pusher left") && r.Struck == ""
			}},
	}
	for i, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			marker := fmt.Sprintf("%d-%d", os.Getpid(), i)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			inside := shell(fmt.Sprintf(daemons, marker) + e.script)
			p, _ := started(t, s, ctx, inside)
			begin := time.Now()
			e.end(p, cancel)
			r, err := p.Wait()
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if !e.check(r, err) {
				t.Errorf("%+v %v", r, err)
			}
			gone(t, s, inside.Name, "marker-"+marker)
		})
	}
}

// TestNothingIsKept: a server that has run many sandboxes holds no more descriptors and threads than before.
func TestNothingIsKept(t *testing.T) {
	s := newSandbox()
	count := func(dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	inside := shell("echo hello")
	inside.Limits = Limits{Memory: 64 << 20, Disk: 10 << 20, Time: time.Minute}
	must(t, s, inside)
	descriptors, threads := count("/proc/self/fd"), count("/proc/self/task")
	for range 20 {
		must(t, s, inside)
	}
	if got := count("/proc/self/fd"); got > descriptors+2 {
		t.Errorf("%d descriptors, %d before", got, descriptors)
	}
	if got := count("/proc/self/task"); got > threads+5 {
		t.Errorf("%d threads, %d before", got, threads)
	}
}

// TestManyAtOnce: starting and ending side by side mixes nothing up.
func TestManyAtOnce(t *testing.T) {
	s := newSandbox()
	const n = 8
	results := make(chan error, n)
	for i := range n {
		go func() {
			var output bytes.Buffer
			p, err := s.Start(t.Context(), shell(fmt.Sprintf("echo %d; exit %d", i, i)), Stdio{Out: &output, Err: &output})
			if err != nil {
				results <- err
				return
			}
			r, err := p.Wait()
			if err == nil && (r.ExitCode != i || output.String() != fmt.Sprintln(i)) {
				err = fmt.Errorf("%d: %v %q", i, r, output.String())
			}
			results <- err
		}()
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
