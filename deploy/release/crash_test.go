package release

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

// serverMain starts the release that stands in the work tree 1 of a data directory, says so, and waits
// to be killed.
func serverMain(mode, group, root string) {
	b := engine(deploy.Layout(root), sandbox.Mode(mode), group, &fakeRouter{routed: make(map[deploy.AppName]deploy.Number)})
	job := &deploy.Job{
		Number: 1, App: deploy.App{Name: "shop", ID: 1}, Revision: revisionOf(1), Tree: b.layout.Work("shop", 1),
		Manifest: &deploy.Manifest{Processes: []deploy.Process{{Name: "web", Run: "./app"}}},
	}
	fmt.Println("starting")
	c, err := b.Start(context.Background(), job, io.Discard)
	fmt.Println(c.Instances, err)
	select {}
}

func (b *bench) server() (*exec.Cmd, *bufio.Scanner) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "server", string(sandbox.ModeBubblewrap), b.group, string(b.layout))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// kill -9 of the server: the instance lives, and the next server finds it.
func TestKilledServer(t *testing.T) {
	b := newBench(t)
	b.job(1, "")
	cmd, lines := b.server()
	for lines.Scan() && !strings.Contains(lines.Text(), "<nil>") {
	}
	cmd.Process.Kill()
	cmd.Wait()
	found, err := b.Instances(t.Context(), b.target, 1)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	before := b.inspect(found[0])
	if !before.Running || !before.Listening || get(found[0], "/") == "" {
		t.Errorf("%+v", before)
	}
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	if now := b.inspect(found[0]); now.PID != before.PID || now.Restarts != 0 {
		t.Errorf("not adopted: %+v", now)
	}
}

// A server killed at any moment of Start leaves nothing that Sweep does not find, and a whole release
// or none; starting again is no problem.
func TestServerKilledDuringStart(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills many servers")
	}
	b := newBench(t)
	for _, appears := range []string{
		"instances/1.json", "releases/1", "instances/1-web-1", "instances/1-web-1/spec.json",
		"instances/1-web-1/keeper.lock", "instances/1-web-1/keeper.sock", "instances/1-web-1/output.log",
	} {
		b.job(1, "")
		cmd, lines := b.server()
		lines.Scan()
		path := filepath.Join(b.layout.App("shop"), appears)
		eventually(t, appears, func() bool { _, err := os.Lstat(path); return err == nil })
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		if got, err := os.ReadFile(filepath.Join(b.layout.Release("shop", 1), "REVISION")); err == nil && string(got) != string(revisionOf(1))+"\n" {
			t.Errorf("%s: half a release: %q", appears, got)
		}
		if _, err := os.Lstat(b.layout.Release("shop", 1)); err == nil {
			// It can be started again as it is.
			job := b.job(1, "")
			if err := os.RemoveAll(job.Tree); err != nil {
				t.Fatal(err)
			}
			b.started(job)
		}
		if err := b.Sweep(t.Context(), b.target); err != nil {
			t.Fatal(err)
		}
		if err := b.remove("shop", 1); err != nil {
			t.Fatal(err)
		}
		b.nothingOf(1)
	}
}

// A server killed in the middle of Restart leaves two instances of a process; the next one settles on
// one of them, the new one if it was ready.
func TestKilledDuringRestart(t *testing.T) {
	for _, kept := range []bool{true, false} {
		b := newBench(t)
		b.started(b.job(1, ""))
		if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
			t.Fatal(err)
		}
		p, err := b.plan("shop", 1)
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.prepare(p, p.Job.Manifest.Processes[0], 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.startReady(t.Context(), s, "it"); err != nil {
			t.Fatal(err)
		}
		if kept {
			if err := b.keep(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		before, err := b.Instances(t.Context(), b.target, 1)
		if err != nil || len(before) != 2 {
			t.Fatalf("before: %v, %v", before, err)
		}
		want := before[0]
		if kept {
			want = before[1]
		}
		pid := b.inspect(want).PID
		if err := b.Switch(t.Context(), b.target, 1, 1); err != nil {
			t.Fatal(err)
		}
		if got := mustInstance(b, 1); got != want || b.inspect(got).PID != pid {
			t.Errorf("kept %t: settled on %+v, want %+v", kept, got, want)
		}
	}
}
