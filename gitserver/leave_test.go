package gitserver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy"
	"slipway/gitserver"
	"slipway/gitserver/pktline"
)

// waitingGate accepts nothing: it waits until the pusher leaves, and tells of both.
type waitingGate struct {
	entered, left chan struct{}
	cause         atomic.Value // error
}

func (w *world) waitingGate() *waitingGate {
	g := &waitingGate{entered: make(chan struct{}), left: make(chan struct{})}
	w.gate.admit = func(ctx context.Context, _ deploy.Offer, progress io.Writer) deploy.Answer {
		fmt.Fprintln(progress, "building")
		close(g.entered)
		<-ctx.Done()
		g.cause.Store(context.Cause(ctx))
		close(g.left)
		return deploy.Answer{Number: 1, Line: "canceled"}
	}
	return g
}

// begin starts a git push in a process group of its own.
func (p *person) begin(args ...string) *exec.Cmd {
	p.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(p, cmd.Start())
	p.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGCONT)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd
}

// noPushLeft waits until no git is running in the repository.
func (w *world) noPushLeft() {
	w.Helper()
	deadline := time.After(10 * time.Second)
	for {
		left := gitProcesses(w.store.Dir(shop))
		if len(left) == 0 {
			return
		}
		select {
		case <-deadline:
			w.Fatalf("still running: %q", left)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// gitProcesses lists the processes that name dir in their command line.
func gitProcesses(dir string) []string {
	var found []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		b, _ := os.ReadFile(path)
		if line := strings.ReplaceAll(string(b), "\x00", " "); strings.Contains(line, dir) && strings.Contains(line, "receive-pack") {
			found = append(found, line)
		}
	}
	return found
}

func (w *world) stillWorks(p *person) {
	w.Helper()
	w.gate.admit = nil
	oid := p.commit("after")
	p.git("push", "-q", "production", "main")
	if w.ref("refs/heads/main") != oid {
		w.Error("the next push did not move main")
	}
}

func TestKilledClient(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			w := newWorld(t, "sha1")
			alice := w.alice(t)
			alice.start("sha1")
			gate := w.waitingGate()
			cmd := alice.begin("push", "production", "main", "main:other")
			within(t, 10*time.Second, "the push", gate.entered)
			must(t, syscall.Kill(-cmd.Process.Pid, signal))
			within(t, 2*time.Second, "the end of the gate's context", gate.left)
			if got := fmt.Sprint(gate.cause.Load()); got != "the client went away" {
				t.Errorf("because %s", got)
			}
			w.noPushLeft()
			if w.ref("refs/heads/main") != "" || w.ref("refs/heads/other") == "" {
				t.Error("main should not have moved, other should have")
			}
			w.stillWorks(alice)
		})
	}
}

// The connection lives on; only the push's channel is closed.
func TestKilledClientOfASharedConnection(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	master(t, alice)
	alice.git("ls-remote", "production")
	gate := w.waitingGate()
	cmd := alice.begin("push", "production", "main")
	within(t, 10*time.Second, "the push", gate.entered)
	must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	within(t, 2*time.Second, "the end of the gate's context", gate.left)
	w.noPushLeft()
	w.stillWorks(alice)
}

// A gate may be past the point where it can stop: then nobody waits for it but the push itself.
func TestGateThatGoesOn(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	one := alice.start("sha1")
	entered, verdict, moved := make(chan struct{}), make(chan struct{}), make(chan struct{})
	w.gate.admit = func(ctx context.Context, o deploy.Offer, progress io.Writer) deploy.Answer {
		close(entered)
		<-ctx.Done()
		for range 10_000 { // to nobody
			fmt.Fprintln(progress, strings.Repeat("x", 1000))
		}
		<-verdict
		defer close(moved)
		return w.gate.accept(context.WithoutCancel(ctx), o, 1)
	}
	cmd := alice.begin("push", "production", "main")
	within(t, 10*time.Second, "the push", entered)
	must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	bob := w.user(t, "bob", deploy.RoleDeveloper, deploy.RoleDeveloper)
	bob.start("sha1")
	bob.git("push", "-q", "production", "main:bobs") // beside it
	close(verdict)
	within(t, 10*time.Second, "the verdict", moved)
	w.noPushLeft()
	if w.ref("refs/heads/main") != one {
		t.Error("accepted, but main did not move")
	}
}

// A proxy that falls silent is a network that does: no connection is closed, nothing arrives.
func TestSilentNetwork(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.KeepAlive, c.Limits.KeepAliveMisses = 200*time.Millisecond, 4 })
	alice := w.alice(t)
	alice.start("sha1")
	addr, cut := silentProxy(t, w.server.Addr())
	alice.git("remote", "add", "far", "ssh://git@"+addr+"/shop")
	gate := w.waitingGate()
	alice.begin("push", "far", "main")
	within(t, 10*time.Second, "the push", gate.entered)
	close(cut)
	within(t, 5*time.Second, "the end of the gate's context", gate.left)
	w.noPushLeft()
	w.stillWorks(alice)
}

// silentProxy passes bytes on until cut is closed; then it keeps its connections and drops the bytes.
func silentProxy(t *testing.T, to string) (addr string, cut chan struct{}) {
	t.Helper()
	cut = make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	pass := func(dst io.Writer, src io.Reader) {
		buf := make([]byte, 32<<10)
		for {
			n, err := src.Read(buf)
			if err != nil {
				return
			}
			select {
			case <-cut:
			default:
				_, _ = dst.Write(buf[:n])
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				return
			}
			t.Cleanup(func() { client.Close(); server.Close() })
			go pass(server, client)
			go pass(client, server)
		}
	}()
	return listener.Addr().String(), cut
}

func TestStoppedClient(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.KeepAlive, c.Limits.KeepAliveMisses = 200*time.Millisecond, 4 })
	alice := w.alice(t)
	alice.start("sha1")
	gate := w.waitingGate()
	cmd := alice.begin("push", "production", "main")
	within(t, 10*time.Second, "the push", gate.entered)
	must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP))
	within(t, 5*time.Second, "the end of the gate's context", gate.left)
	w.noPushLeft()
}

// An ssh that is there, and answers keepalives, but whose output nobody reads.
func TestClientThatReadsNothing(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.Stall = 500 * time.Millisecond })
	alice := w.alice(t)
	alice.start("sha1")
	script := filepath.Join(alice.home, "stalling-ssh")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\n"+strings.Join(alice.ssh("-i "+alice.home+"/key"), " ")+" \"$@\" | (dd bs=1 count=3000 status=none; exec sleep 1000)\n"), 0o755))
	left := make(chan struct{})
	w.gate.admit = func(ctx context.Context, _ deploy.Offer, progress io.Writer) deploy.Answer {
		for ctx.Err() == nil {
			fmt.Fprintln(progress, strings.Repeat("x", 10_000))
		}
		close(left)
		return deploy.Answer{Line: "canceled"}
	}
	for i, e := range alice.env {
		if strings.HasPrefix(e, "GIT_SSH_COMMAND=") {
			alice.env[i] = "GIT_SSH_COMMAND=" + script
		}
	}
	alice.env = append(alice.env, "GIT_SSH_VARIANT=ssh") // git would try the script out
	alice.begin("push", "production", "main")
	within(t, 30*time.Second, "the end of the gate's context", left)
	w.noPushLeft()
}

// A client that asks for no report has said everything with the last byte of its pack.
func TestClientWithoutReport(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		one := alice.start(w.format())
		moved := make(chan struct{})
		w.gate.admit = func(ctx context.Context, o deploy.Offer, _ io.Writer) deploy.Answer {
			defer close(moved)
			select {
			case <-ctx.Done():
				t.Errorf("canceled: %v", context.Cause(ctx))
			case <-time.After(300 * time.Millisecond): // for the hang-up to arrive
			}
			return w.gate.accept(ctx, o, 1)
		}
		p := w.rawPush(alice, "object-format="+w.format(), create(one, "refs/heads/main"))
		must(t, p.client.Close())
		within(t, 10*time.Second, "the verdict", moved)
		w.noPushLeft()
		if w.ref("refs/heads/main") != one {
			t.Error("main did not move")
		}
	})
}

func readAdvertisement(t *testing.T, r io.Reader) {
	t.Helper()
	for packets := pktline.NewReader(r); ; {
		kind, _, err := packets.Next()
		must(t, err)
		if kind == pktline.Flush {
			return
		}
	}
}

func TestShutdown(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	gate := w.waitingGate()
	pushed := make(chan outcome, 1)
	go func() { pushed <- alice.run("git", "push", "production", "main") }()
	within(t, 10*time.Second, "the push", gate.entered)
	w.stop()
	o := <-pushed
	contains(t, o.stderr, "building", "! [remote rejected] main -> main (canceled)")
	if got := fmt.Sprint(gate.cause.Load()); got != deploy.ErrShutdown.Error() {
		t.Errorf("because %s", got)
	}
	if err := <-w.stopped; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	w.stopped <- nil
	w.noPushLeft()
}

// waiting begins a command that goes on until its client leaves or the server stops.
func waiting(t *testing.T, client *gossh.Client) *gossh.Session {
	t.Helper()
	session, err := client.NewSession()
	must(t, err)
	out, err := session.StdoutPipe()
	must(t, err)
	must(t, session.Start("wait"))
	_, err = io.ReadFull(out, make([]byte, len("waiting\n")))
	must(t, err)
	return session
}

// stopsWithin fails with what it means if the server has not stopped by then.
func (w *world) stopsWithin(limit time.Duration, otherwise string) {
	w.Helper()
	select {
	case err := <-w.stopped:
		must(w.T, err)
		w.stopped <- nil
	case <-time.After(limit):
		w.Fatal(otherwise)
	}
}

// Who was served when the server began to stop reads how that ended, to the exit status.
func TestShutdownTellsTheEnd(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	const clients = 20
	ended := make(chan error, clients)
	for range clients {
		session := waiting(t, dial(t, alice))
		go func() { ended <- session.Wait() }()
	}
	w.stop()
	for range clients {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// One that does not listen keeps no server from stopping.
func TestShutdownWithADeafClient(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.Shutdown = time.Minute })
	addr, cut := silentProxy(t, w.server.Addr())
	waiting(t, dialAt(t, w.alice(t), addr))
	close(cut)
	w.stop()
	w.stopsWithin(20*time.Second, "the server does not stop")
}

// A gate that does not stop does not stop the server from stopping. Git is left to end by itself.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.Shutdown = 200 * time.Millisecond })
	alice := w.alice(t)
	alice.start("sha1")
	entered, release := make(chan struct{}), make(chan struct{})
	w.gate.admit = func(context.Context, deploy.Offer, io.Writer) deploy.Answer {
		close(entered)
		<-release
		return deploy.Answer{Line: "late"}
	}
	alice.begin("push", "production", "main")
	within(t, 10*time.Second, "the push", entered)
	w.stop()
	defer close(release)
	w.stopsWithin(10*time.Second, "the server does not stop")
}

// Killed while it sends its pack: nothing stays, nobody is asked.
func TestPackCutShort(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	one := alice.start("sha1")
	p := beginRawPush(t, alice)
	must(t, pktline.NewWriter(p.stdin).String(fmt.Sprintf("%s %s refs/heads/main\x00report-status side-band-64k", strings.Repeat("0", 40), one)))
	must(t, pktline.NewWriter(p.stdin).Flush())
	o := alice.run("sh", "-c", "git rev-list --objects HEAD | git pack-objects -q --stdout")
	_, err := io.WriteString(p.stdin, o.stdout[:len(o.stdout)/2])
	must(t, err)
	must(t, p.client.Close())
	w.noPushLeft()
	if files, _ := filepath.Glob(filepath.Join(w.store.Dir(shop), "objects", "*", "*pack*")); len(files) > 0 || len(w.gate.seen()) > 0 {
		t.Errorf("left behind: %q", files)
	}
}

func TestCommandEndsWithItsClient(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	must(t, waiting(t, dial(t, alice)).Close())
	w.stop()
	w.stopsWithin(5*time.Second, "the command goes on")
}
