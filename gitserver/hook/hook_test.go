package hook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/gitserver/hook"
)

var program []byte

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "slipway-hook-")
	if err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "slipway-hook")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "slipway/cmd/slipway-hook")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the hook: %v\n%s", err, out))
	}
	if program, err = os.ReadFile(path); err != nil {
		panic(err)
	}
	os.RemoveAll(dir)
	os.Exit(m.Run())
}

// serve installs the program as hook proc-receive and answers it.
func serve(t *testing.T, dir string, handle hook.Handler) {
	t.Helper()
	must(t, hook.Install(dir, program, "proc-receive"))
	l, err := hook.Listen(dir, slog.New(slog.DiscardHandler))
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, handle) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func start(dir, token string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(dir, "proc-receive"))
	cmd.Env = []string{hook.TokenVariable + "=" + token, "GIT_QUARANTINE_PATH=/q", "GIT_OBJECT_DIRECTORY=/q", "SECRET=x"}
	return cmd
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The program hands over what it was started with, and its input; the handler's output and status
// come out of it.
func TestStory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hooks")
	large := strings.Repeat("0123456789abcdef", 20_000)
	serve(t, dir, func(_ context.Context, call *hook.Call) int {
		want := hook.Header{Name: "proc-receive", Token: "secret token", Env: map[string]string{"GIT_QUARANTINE_PATH": "/q", "GIT_OBJECT_DIRECTORY": "/q"}}
		if diff := cmp.Diff(want, call.Header); diff != "" {
			t.Errorf("header (-want +got)\n%s", diff)
		}
		b, err := io.ReadAll(call)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(call.Stdout(), string(b))
		fmt.Fprint(call.Stderr(), "for people")
		return 42
	})
	cmd := start(dir, "secret token")
	cmd.Stdin = strings.NewReader(large)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 42 {
		t.Errorf("ended with %v", err)
	}
	if stdout.String() != large || stderr.String() != "for people" {
		t.Errorf("%d bytes out, %q to people", stdout.Len(), stderr.String())
	}
}

func TestFilesAreClosedToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hooks")
	must(t, os.Mkdir(dir, 0o755))
	serve(t, dir, func(context.Context, *hook.Call) int { return 0 })
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "sock"): 0o600, filepath.Join(dir, "proc-receive"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if len(entries) != 2 || err != nil {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// A data directory may be deeper than a socket's name is long, and a killed server leaves its socket.
func TestDeepFolderAndRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40), "hooks")
	for range 2 {
		t.Run("", func(t *testing.T) {
			serve(t, dir, func(context.Context, *hook.Call) int { return 0 })
			if out, err := start(dir, "x").CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// What a server that was killed while it started has left is used, and nobody's file stays.
func TestStartedAgain(t *testing.T) {
	dir := t.TempDir()
	for _, left := range []string{"proc-receive.new", "sock.new"} {
		must(t, os.WriteFile(filepath.Join(dir, left), []byte("half of something longer than nothing"), 0o700))
	}
	serve(t, dir, func(context.Context, *hook.Call) int { return 7 })
	err := start(dir, "x").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("ended with %v", err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if e.Name() != "proc-receive" && e.Name() != "sock" {
			t.Errorf("nobody owns %s", e.Name())
		}
	}
}

func TestServerIsNotThere(t *testing.T) {
	dir := t.TempDir()
	must(t, hook.Install(dir, program, "proc-receive"))
	if out, err := start(dir, "x").CombinedOutput(); err == nil || !strings.Contains(string(out), "slipway: the server cannot be reached") {
		t.Errorf("%v: %s", err, out)
	}
	cmd := start(dir, "x")
	cmd.Env = nil
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "runs within a push") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestServerGoesAway(t *testing.T) {
	dir := t.TempDir()
	must(t, hook.Install(dir, program, "proc-receive"))
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = hook.ReadHeader(conn)
			conn.Close()
		}
	}()
	cmd := start(dir, "x")
	stdin, err := cmd.StdinPipe() // git keeps it open
	must(t, err)
	defer stdin.Close()
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "slipway: the server went away") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestPanic(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, func(context.Context, *hook.Call) int { panic("bug") })
	err := start(dir, "x").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
}

// A handler learns from the end of its input that git, and the hook with it, has died.
func TestHookDies(t *testing.T) {
	dir := t.TempDir()
	begun, ended := make(chan struct{}), make(chan struct{})
	serve(t, dir, func(_ context.Context, call *hook.Call) int {
		close(begun)
		_, _ = io.Copy(io.Discard, call)
		close(ended)
		return 0
	})
	cmd := start(dir, "x")
	stdin, err := cmd.StdinPipe()
	must(t, err)
	defer stdin.Close()
	must(t, cmd.Start())
	<-begun
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the handler does not know")
	}
}

func TestReadHeader(t *testing.T) {
	good := "0012slipway-hook 1" + "0015name proc-receive" + "000btoken x" + "000denv A=b=c" + "0000rest"
	r := strings.NewReader(good)
	h, err := hook.ReadHeader(r)
	if diff := cmp.Diff(hook.Header{Name: "proc-receive", Token: "x", Env: map[string]string{"A": "b=c"}}, h); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "rest" {
		t.Errorf("left %q", rest)
	}
	for _, bad := range []string{"", "0000", "0012slipway-hook 2", "0012slipway-hook 10000", "0012slipway-hook 1000btoken x0000", "0012slipway-hook 1000cname x y000btoken x000btoken y0000", "0012slipway-hook 10009frotz0000", strings.Replace(good, "A=b=c", "Ab-cd", 1), "0012slipway-hook 1" + strings.Repeat("000denv A=b=c", 20) + "0000"} {
		if h, err := hook.ReadHeader(strings.NewReader(bad)); err == nil {
			t.Errorf("%.40q: %+v", bad, h)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("0012slipway-hook 10015name proc-receive000btoken x000denv A=b=c0000rest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := hook.ReadHeader(bytes.NewReader(b))
		if err == nil && (h.Name == "" || h.Token == "" || len(h.Env) > 16) {
			t.Errorf("%q: %+v", b, h)
		}
	})
}
