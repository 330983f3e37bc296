package release

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"slipway/deploy"
	"slipway/deploy/keeper"
	"slipway/deploy/sandbox"
)

const secret = "hunter22-of-the-shop"

// nowhere fails the test if a file below the data directory holds the secret.
func (b *bench) nowhere() {
	b.Helper()
	err := filepath.WalkDir(string(b.layout), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(secret)) {
			b.Errorf("the value is in %s", path)
		}
		return nil
	})
	if err != nil {
		b.Error(err)
	}
}

// An instance has the app's variables as they were when it was made, also when its keeper starts it
// again, or a person does; its folder and its log do not show them.
func TestVariablesOfAnInstance(t *testing.T) {
	b := newBench(t)
	b.set(map[string]string{"TOKEN": secret})
	i := b.started(b.job(1, "", func(m *deploy.Manifest) {
		m.Processes[0].Run = "echo the token is $TOKEN; printf %s no-newline-$TOKEN >&2; exec ./app"
	})).Instances[0]
	if got := get(i, "/env/TOKEN"); got != secret {
		t.Errorf("TOKEN is %q", got)
	}
	said, err := os.ReadFile(b.inspect(i).LogPath)
	if err != nil || !strings.Contains(string(said), "the token is [TOKEN]\n") || !strings.Contains(string(said), "no-newline-[TOKEN]") {
		t.Errorf("the log says %q, %v", said, err)
	}
	b.nowhere()

	// What is set later does not reach it by a crash.
	b.set(map[string]string{"TOKEN": "another"})
	get(i, "/exit")
	eventually(t, "its restart", func() bool { return b.inspect(i).Restarts == 1 && get(i, "/env/TOKEN") != "" })
	if got := get(i, "/env/TOKEN"); got != secret {
		t.Errorf("after a crash TOKEN is %q", got)
	}

	// By hand, from the instance's folder.
	before := b.status(i)
	if err := before.Keeper.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return !before.Keeper.Alive() && !before.Child.Alive() })
	argv := b.config.KeeperArgv
	cmd := exec.Command(argv[0], append(argv[1:], b.folder("shop", 1, "web", 1))...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	eventually(t, "its return", func() bool { return get(i, "/env/TOKEN") == secret })

	// Stopped, its log is kept, and shows nothing either.
	if err := b.Stop(t.Context(), b.target, 1, 0); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(filepath.Join(b.layout.Deployment(1), "web.1.log")); err != nil || !strings.Contains(string(kept), "the token is [TOKEN]\n") {
		t.Errorf("kept: %q, %v", kept, err)
	}
	b.nowhere()
}

// What an instance says last before it fails is told without the values.
func TestVariablesInARejection(t *testing.T) {
	b := newBench(t)
	b.set(map[string]string{"TOKEN": secret})
	r := b.rejected(b.job(1, "", func(m *deploy.Manifest) { m.Processes[0].Run = "echo cannot sign in by $TOKEN; exit 1" }))
	if strings.Join(r.Tail, "\n") != "cannot sign in by [TOKEN]" {
		t.Errorf("the process: %q", r.Tail)
	}
	r = b.rejected(b.job(2, "", func(m *deploy.Manifest) { m.Deploy.Release.Commands = []string{"echo by $TOKEN; exit 1"} }))
	if strings.Join(r.Tail, "\n") != "$ echo by $TOKEN; exit 1\nby [TOKEN]" {
		t.Errorf("the release command: %q", r.Tail)
	}
	b.nowhere()
}

// Without the key nothing starts, what runs goes on, and with the key all is well again.
func TestVariablesWithoutTheKey(t *testing.T) {
	b := newBench(t)
	b.set(map[string]string{"TOKEN": secret})
	i := b.started(b.job(1, "")).Instances[0]
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	key := b.layout.SecretKey()
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if err := b.Restart(t.Context(), b.target); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("restarting: %v", err)
	}
	if got := get(i, "/env/TOKEN"); got != secret {
		t.Errorf("what runs has TOKEN %q", got)
	}
	get(i, "/exit")
	eventually(t, "a word of the key", func() bool {
		s, err := b.Inspect(t.Context(), i)
		return err == nil && strings.HasPrefix(s.LastExit, keeper.NotStarted) && strings.Contains(s.LastExit, key)
	})
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its return", func() bool { return get(i, "/env/TOKEN") == secret })
}

// An engine that was not given the variables starts nothing, rather than an app without them.
func TestWithoutVariables(t *testing.T) {
	b := newBench(t)
	b.Local = NewLocal(Config{Layout: b.layout, Sandbox: b.config.Sandbox, Router: b.router, KeeperArgv: b.config.KeeperArgv})
	if _, err := b.Start(t.Context(), b.job(1, ""), &bytes.Buffer{}); !errors.Is(err, errNoVariables) {
		t.Errorf("got %v", err)
	}
}

func TestOneOff(t *testing.T) {
	b := newBench(t)
	b.set(map[string]string{"TOKEN": secret})
	b.started(b.job(1, "", func(m *deploy.Manifest) { m.Processes[0].Env = map[string]string{"OF": "the manifest"} }))
	run := func(in string, command ...string) (string, sandbox.Result) {
		t.Helper()
		var out bytes.Buffer
		r, err := b.OneOff(t.Context(), b.target, 1, command, sandbox.Stdio{In: strings.NewReader(in), Out: &out, Err: &out})
		if err != nil {
			t.Fatal(err)
		}
		return out.String(), r
	}
	if out, r := run("given\n", "pwd; cat; echo $TOKEN $OF $SLIPWAY_DEPLOYMENT; echo kept >/storage/kept; cat REVISION; exit 7"); r.ExitCode != 7 ||
		out != "/app\ngiven\n"+secret+" the manifest 1\n"+string(revisionOf(1))+"\n" {
		t.Errorf("%q, %v", out, r)
	}
	if out, r := run("", "printf", "%s|", "a b", "$TOKEN", "*", "/storage/kept"); r.ExitCode != 0 || out != "a b|$TOKEN|*|/storage/kept|" {
		t.Errorf("%q, %v", out, r)
	}
	if out, r := run("", "cat", "/storage/kept"); r.ExitCode != 0 || out != "kept\n" {
		t.Errorf("%q, %v", out, r)
	}
	if _, r := run("", "no-such-program"); r.ExitCode != 127 {
		t.Errorf("%v", r)
	}
	if _, r := run("", "touch /app/x"); r.ExitCode == 0 {
		t.Error("the release can be written to")
	}
	if _, err := b.OneOff(t.Context(), b.target, 9, []string{"true"}, sandbox.Stdio{}); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("of no release: %v", err)
	}
	b.nowhere()

	// The release's end does not end it, and its caller's leaving does.
	ctx, leave := context.WithCancel(t.Context())
	started, ended := make(chan struct{}), make(chan error)
	go func() {
		_, err := b.OneOff(ctx, b.target, 1, []string{"echo started; sleep 1000"}, sandbox.Stdio{Out: closing(started)})
		ended <- err
	}()
	<-started
	if err := b.Stop(t.Context(), b.target, 1, 0); err != nil {
		t.Fatal(err)
	}
	if names, _ := b.config.Sandbox.Names(); len(names) != 1 || !strings.HasPrefix(names[0], "shop.0.run.1.") {
		t.Errorf("running: %q", names)
	}
	// Nor is the release taken from under it; then it is.
	if gone, err := pruned(b, b.target.App, nil, 0); err != nil || len(gone) > 0 {
		t.Errorf("pruned %v, %v", gone, err)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended by %v", err)
	}
	if names, _ := b.config.Sandbox.Names(); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
	if gone, err := pruned(b, b.target.App, nil, 0); err != nil || !slices.Equal(gone, []deploy.Number{1}) {
		t.Errorf("pruned %v, %v", gone, err)
	}
}

// closing is closed by the first write to it.
type closing chan struct{}

func (c closing) Write(b []byte) (int, error) {
	close(c)
	return len(b), nil
}
