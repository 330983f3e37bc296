package gitserver_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy"
	"slipway/gitserver"
)

func TestCommands(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	for _, tt := range []struct {
		line, want string
		status     int
	}{
		{"deployments shop", `alice runs ["deployments" "shop"]`, 2},
		{"rollback shop -reason 'it is bad'", `alice runs ["rollback" "shop" "-reason" "it is bad"]`, 4},
		{"", `alice runs ["help"]`, 1},
	} {
		o := alice.command(tt.line)
		if o.stdout != tt.want+"\n" || o.status != tt.status || !strings.Contains(o.stderr, "on stderr") {
			t.Errorf("%s: %+v", tt.line, o)
		}
	}
	for line, want := range map[string]string{
		"log 42 | head":            "slipway: no shell reads the command here",
		"git-upload-pack":          "slipway: git-upload-pack takes one repository",
		"git-upload-pack a b":      "slipway: git-upload-pack takes one repository",
		"git-shell -c id":          `slipway: "git-shell" is no service of this server`,
		"git config -l":            `slipway: "git-config" is no service of this server`,
		"echo 'open":               "slipway: the command lacks a closing '",
		"panic":                    "slipway: internal error",
		strings.Repeat("a ", 5000): "slipway: the command is longer than 8192 bytes",
	} {
		if o := alice.command(line); o.status == 0 || !strings.Contains(o.stderr, want) || o.stdout != "" {
			t.Errorf("%.40s: %+v", line, o)
		}
	}
	contains(t, w.log.String(), "panic in a session")
}

func TestCommandReadsItsInput(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	session, err := dial(t, alice).NewSession()
	must(t, err)
	session.Stdin = strings.NewReader("ssh-ed25519 AAAA\n")
	if out, err := session.Output("read"); string(out) != "ssh-ed25519 AAAA\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

// What this server has no use for is refused, and the session goes on.
func TestRefusedRequests(t *testing.T) {
	w := newWorld(t, "sha1")
	client := dial(t, w.alice(t))
	session, err := client.NewSession()
	must(t, err)
	if err := session.RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("got a terminal")
	}
	if err := session.RequestSubsystem("sftp"); err == nil {
		t.Error("got a subsystem")
	}
	for _, request := range []string{"auth-agent-req@openssh.com", "x11-req", "no such thing"} {
		if ok, err := session.SendRequest(request, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", request, ok, err)
		}
	}
	for i := range 5000 {
		if err := session.Setenv(fmt.Sprintf("LD_PRELOAD%d", i), strings.Repeat("x", 1000)); err == nil {
			t.Fatal("took a variable")
		}
	}
	if err := session.Setenv("GIT_PROTOCOL", "version=2"); err != nil {
		t.Errorf("git's protocol version: %v", err)
	}
	if err := session.Setenv("GIT_PROTOCOL", "version=2"); err == nil {
		t.Error("took it twice")
	}
	if out, err := session.Output("a"); !strings.Contains(string(out), "alice runs") {
		t.Errorf("%q, %v", out, err)
	}
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", "x11"} {
		if channel, _, err := client.OpenChannel(kind, nil); err == nil {
			channel.Close()
			t.Errorf("%s was opened", kind)
		}
	}
	for _, request := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "hostkeys-prove-00@openssh.com"} {
		if ok, _, err := client.SendRequest(request, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", request, ok, err)
		}
	}
}

func TestSessionsPerConnection(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.Sessions = 3 })
	client := dial(t, w.alice(t))
	var open []*gossh.Session
	for range 3 {
		session, err := client.NewSession()
		must(t, err)
		open = append(open, session)
	}
	if _, err := client.NewSession(); err == nil || !strings.Contains(err.Error(), "too many sessions") {
		t.Errorf("a fourth session: %v", err)
	}
	if out, err := open[0].Output("a"); !strings.Contains(string(out), "alice runs") {
		t.Errorf("%q, %v", out, err)
	}
	deadline := time.After(10 * time.Second)
	for {
		session, err := client.NewSession()
		if err == nil {
			session.Close()
			return
		}
		select {
		case <-deadline:
			t.Fatalf("a place is never free again: %v", err)
		default:
		}
	}
}

// Exit statuses of git itself are passed on too.
func TestExitStatusOfGit(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	if o := alice.command("git-upload-pack '/shop'"); o.status != 128 {
		t.Errorf("a client that hangs up: %+v", o)
	}
	if o := alice.command("git-receive-pack '/nothing'"); o.status != 1 || o.stdout != "001cERR repository not found" {
		t.Errorf("%+v", o)
	}
	if o := alice.command("git-receive-pack '/shop'"); o.status == 0 && !strings.Contains(o.stdout, "push-options") {
		t.Errorf("%+v", o)
	}
}

// Two at once, and one by one through a shared connection.
func TestControlMaster(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	master(t, alice)
	alice.git("push", "-q", "production", "main")
	alice.git("push", "-q", "production", "main:other")
	if w.ref("refs/heads/other") == "" {
		t.Error("other is not there")
	}
}

// master makes alice's ssh share one connection until the test ends.
func master(t *testing.T, p *person) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	options := "-i " + p.home + "/key -o ControlPath=" + socket
	p.setSSH(options + " -o ControlMaster=auto -o ControlPersist=60")
	t.Cleanup(func() { p.run(append(p.ssh("-o ControlPath="+socket), "-O", "exit", "x")...) })
}

var _ = deploy.CodeUsage
