package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestResults(t *testing.T) {
	s := newSandbox()
	tests := []struct {
		script, want string
		code         int
		signal       syscall.Signal
	}{
		{"true", "exit status 0", 0, 0},
		{"exit 1", "exit status 1", 1, 0},
		{"exit 128", "exit status 128", 128, 0},
		{"kill -9 $$", "killed by signal 9", 137, syscall.SIGKILL},
		{"kill -SEGV $$", "killed by signal 11", 139, syscall.SIGSEGV},
		{"no-such-program", "exit status 127", 127, 0},
	}
	for _, test := range tests {
		r, output := finish(t, s, shell(test.script))
		if r.String() != test.want || r.ExitCode != test.code || r.Signal != test.signal || (r.Err() == nil) != (test.code == 0) {
			t.Errorf("%s: %+v %s", test.script, r, output)
		}
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	s := newSandbox()
	var output bytes.Buffer
	for program, want := range map[string]string{"/no/such/program": "No such file or directory", "/etc/passwd": "Permission denied"} {
		p, err := s.Start(t.Context(), spec(program), Stdio{Out: &output, Err: &output})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Wait()
		if err == nil || !strings.Contains(err.Error(), "execvp "+program+": "+want) {
			t.Errorf("%s: %v", program, err)
		}
		gone(t, s, p.spec.Name, "no-such-marker")
	}
	nowhere := shell("true")
	nowhere.Dir = "/nowhere"
	p, err := s.Start(t.Context(), nowhere, Stdio{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err == nil || !strings.Contains(err.Error(), "could not be set up") {
		t.Error(err)
	}
}

// TestLargeEnvironment: more than a pipe holds usually goes in at once, more than it can hold not at all.
func TestLargeEnvironment(t *testing.T) {
	s := newSandbox()
	large := probe("count", "LARGE")
	for i := range 4 {
		large.Env = append(large.Env, fmt.Sprintf("LARGE%d=%s", i, strings.Repeat("x", 100_000)))
	}
	large.Env = append(large.Env, "LARGE="+strings.Repeat("x", 100_000))
	if got := must(t, s, large); got != "100000" {
		t.Error(got)
	}
	for i := range 100 {
		large.Env = append(large.Env, fmt.Sprintf("MORE%d=%s", i, strings.Repeat("x", 100_000)))
	}
	if os.Geteuid() == 0 {
		return // who may have a pipe of that size
	}
	if _, err := s.Start(t.Context(), large, Stdio{}); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
}

func TestStdio(t *testing.T) {
	s := newSandbox()
	var out, errors bytes.Buffer
	p, err := s.Start(t.Context(), shell("cat; echo err >&2"), Stdio{In: strings.NewReader("hello"), Out: &out, Err: &errors})
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if out.String() != "hello" || errors.String() != "err\n" {
		t.Errorf("%q %q", out.String(), errors.String())
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if p, err = s.Start(t.Context(), shell("readlink /proc/self/fd/1; cat"), Stdio{Out: file}); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if b, _ := os.ReadFile(file.Name()); string(b) != file.Name()+"\n" && !strings.HasSuffix(string(b), "/out\n") {
		t.Errorf("the descriptor was not passed on: %q", b)
	}
}

// endless is input that never ends and never comes.
type endless struct{ stop chan struct{} }

func (e endless) Read([]byte) (int, error) {
	<-e.stop
	return 0, io.EOF
}

func TestInputThatNeverComes(t *testing.T) {
	in := endless{make(chan struct{})}
	defer close(in.stop)
	p, err := newSandbox().Start(t.Context(), shell("true"), Stdio{In: in})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(); err != nil || r.Err() != nil {
		t.Error(r, err)
	}
}

// broken is a writer that fails.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestBrokenLogStopsNobody(t *testing.T) {
	p, err := newSandbox().Start(t.Context(), shell("head -c 1000000 /dev/zero && exit 5"), Stdio{Out: broken{}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(); err != nil || r.ExitCode != 5 {
		t.Error(r, err)
	}
}

// stuck is a writer that takes nothing until it is told to.
type stuck struct{ free chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	<-s.free
	return len(b), nil
}

func TestStuckLog(t *testing.T) {
	s := newSandbox()
	log := stuck{make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	p, err := s.Start(ctx, shell("echo hello; sleep 60"), Stdio{Out: log})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	begin := time.Now()
	if _, err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("a canceled sandbox waited %v for its log", took)
	}
	if p, err = s.Start(t.Context(), shell("echo hello"), Stdio{Out: log}); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	select {
	case <-p.done:
		t.Error("it ended although its log was not written")
	case <-time.After(100 * time.Millisecond):
	}
	close(log.free)
	if r, err := p.Wait(); err != nil || r.Err() != nil {
		t.Error(r, err)
	}
}

func TestSignal(t *testing.T) {
	s := newSandbox()
	p, output := started(t, s, t.Context(), shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"))
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r, err := p.Wait()
	b, _ := io.ReadAll(output)
	if err != nil || r.ExitCode != 7 || string(b) != "bye\n" {
		t.Errorf("%v %v %q", r, err, b)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("afterwards: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("kill afterwards: %v", err)
	}
}

func TestSignalAtOnce(t *testing.T) {
	for range 5 {
		p, err := newSandbox().Start(t.Context(), spec("/bin/sleep", "60"), Stdio{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if r, err := p.Wait(); err != nil || r.Signal == 0 {
			t.Errorf("%+v %v", r, err)
		}
	}
}

func TestUsageOfResult(t *testing.T) {
	s := newSandbox()
	needCgroups(t, s)
	r, _ := finish(t, s, probe("alloc", "50"))
	if r.Usage.MaxMemory < 50<<20 || r.Usage.CPU == 0 {
		t.Errorf("%+v", r.Usage)
	}
}
