package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// testGroup keeps the tests' cgroups apart from a server's, and from another run of the tests.
func testGroup() string { return fmt.Sprintf("sandbox-test-%d", os.Getpid()) }

// probeVariable tells the probe, a small program, what to attempt.
const probeVariable = "SANDBOX_PROBE"

// base is a folder that every user can search, with the probe in it.
var base string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if _, err := exec.LookPath("bwrap"); err != nil {
		fmt.Fprintln(os.Stderr, "These tests need bubblewrap, and bwrap is not in PATH. Install it: apt-get install bubblewrap")
		return 1
	}
	var err error
	if base, err = os.MkdirTemp("", "sandbox-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(base)
	if err := errors.Join(os.Chmod(base, 0o711), buildProbe()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := newSandbox().Tidy(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// buildProbe puts the probe where every user can run it.
func buildProbe() error {
	cmd := exec.Command("go", "build", "-o", filepath.Join(base, "probe", "probe"), "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the probe: %w\n%s", err, output)
	}
	return os.Chmod(filepath.Join(base, "probe"), 0o755)
}

// credential makes a command run as the sandbox's user.
func credential(s *Sandbox, id uint32) *syscall.SysProcAttr {
	if !s.root {
		return nil
	}
	uid, gid := s.HostID(id)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

var folders atomic.Int64

// folder makes a folder that belongs to owner's sandbox user and that this user can reach.
func folder(t testing.TB, s *Sandbox, owner uint32) string {
	t.Helper()
	dir := filepath.Join(base, fmt.Sprintf("folder-%d", folders.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	uid, gid := s.HostID(owner)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return dir
}

// needRoot skips what only root can prepare.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to prepare what the sandbox must withstand")
	}
}

// needCgroups skips what only cgroups can do.
func needCgroups(t *testing.T, s *Sandbox) {
	t.Helper()
	if _, err := s.hierarchy(); err != nil {
		t.Skip("needs cgroups:", err)
	}
}

func newSandbox() *Sandbox { return New(Config{Group: testGroup()}) }

var names atomic.Int64

// spec is a spec that runs argv, with the probe at /probe.
func spec(argv ...string) Spec {
	return Spec{
		Name: fmt.Sprintf("t%d", names.Add(1)), ID: 7, Argv: argv, Dir: "/",
		Env:    []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		Mounts: []Mount{{Source: filepath.Join(base, "probe"), Target: "/probe"}},
		Limits: Limits{Time: time.Minute},
	}
}

// probe is a spec that attempts something.
func probe(name string, args ...string) Spec {
	s := spec(append([]string{"/probe/probe"}, args...)...)
	s.Env = append(s.Env, probeVariable+"="+name)
	return s
}

// shell is a spec that runs a script.
func shell(script string) Spec { return spec("/bin/sh", "-c", script) }

// finish runs spec to its end and returns what it printed.
func finish(t testing.TB, s *Sandbox, spec Spec) (Result, string) {
	t.Helper()
	r, output, err := try(t, s, spec)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return r, output
}

// try runs spec, which may be impossible.
func try(t testing.TB, s *Sandbox, spec Spec) (Result, string, error) {
	t.Helper()
	var output bytes.Buffer
	p, err := s.Start(t.Context(), spec, Stdio{Out: &output, Err: &output})
	if err != nil {
		return Result{}, "", err
	}
	r, err := p.Wait()
	return r, output.String(), err
}

// must runs spec, which has to succeed, and returns what it printed, trimmed.
func must(t testing.TB, s *Sandbox, spec Spec) string {
	t.Helper()
	r, output := finish(t, s, spec)
	if err := r.Err(); err != nil {
		t.Fatalf("%v: %v\n%s", spec.Argv, err, output)
	}
	return strings.TrimSpace(output)
}

// outside runs a probe on the host as the user that the sandbox would use, without any wall. As root if
// privileged.
func outside(t *testing.T, privileged bool, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(base, "probe", "probe"), args...)
	cmd.Env = []string{probeVariable + "=" + name, "PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if attributes := credential(newSandbox(), 7); !privileged && attributes != nil {
		cmd.SysProcAttr = attributes
	}
	if privileged {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS // what it mounts nobody else sees
	}
	cmd.SysProcAttr.Setsid = true // what it does to its terminal is nobody else's
	output, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

// started runs spec until it has printed "ready", and returns it running.
func started(t *testing.T, s *Sandbox, ctx context.Context, spec Spec) (*Process, io.Reader) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	p, err := s.Start(ctx, spec, Stdio{Out: write, Err: write})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Wait()
	})
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("ready\n")); {
		if _, err := read.Read(b); err != nil {
			t.Fatalf("it printed %q, not ready: %v", line, err)
		}
		line = append(line, b...)
	}
	return p, read
}

// running tells whether a process of the host has marker in its command line.
func running(t *testing.T, marker string) bool {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && bytes.Contains(b, []byte(marker)) {
			return true
		}
	}
	return false
}

// gone fails unless nothing of the sandbox is left.
func gone(t *testing.T, s *Sandbox, name, marker string) {
	t.Helper()
	if running(t, marker) {
		t.Error("a process of it still runs")
	}
	left, err := s.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range left {
		if n == name {
			t.Error("its cgroup still exists")
		}
	}
}

// pidOf returns the number of a process inside.
func pidOf(t *testing.T, p *Process) string {
	t.Helper()
	usage, err := p.sandbox.Usage(p.spec.Name)
	if err != nil || len(usage.PIDs) == 0 {
		t.Fatalf("%+v %v", usage, err)
	}
	return strconv.Itoa(usage.PIDs[len(usage.PIDs)-1])
}
