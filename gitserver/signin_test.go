package gitserver_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy"
	"slipway/gitserver"
)

func TestUnknownKey(t *testing.T) {
	w := newWorld(t, "sha1")
	mallory, fingerprint := w.stranger(t, "mallory")
	mallory.start("sha1")
	line := "slipway: this key (" + fingerprint + ") is not registered; ask an admin to run: slipway user add"
	out := mallory.fail("push", "production", "main")
	contains(t, out, line, "Permission denied (publickey)")
	if n := strings.Count(out, "slipway:"); n != 1 {
		t.Errorf("%d lines of ours:\n%s", n, out)
	}
	mallory.setSSH("-o BatchMode=yes -i " + mallory.home + "/key")
	contains(t, mallory.fail("clone", mallory.url("/shop"), "clone"), line)

	e := w.failedSignIn()
	if a := e.Actor; a.Key != fingerprint || a.IP != "127.0.0.1" || e.Reason != "the key is not registered" {
		t.Errorf("recorded %+v", e)
	}
}

// failedSignIn waits for the one that is recorded, which is when the connection has ended, and once a minute
// for an address.
func (w *world) failedSignIn() deploy.Event {
	w.Helper()
	deadline := time.After(10 * time.Second)
	for len(w.records.of(deploy.EventSignInFailed)) == 0 {
		select {
		case <-deadline:
			w.Fatal("nothing was recorded")
		case <-time.After(time.Millisecond):
		}
	}
	all := w.records.of(deploy.EventSignInFailed)
	if len(all) != 1 {
		w.Errorf("recorded %+v", all)
	}
	return all[0]
}

// Whoever tries to sign in and does not is in the records, whatever they try with.
func TestFailedSignInsAreRecorded(t *testing.T) {
	for name, test := range map[string]struct {
		method func(theirs, mine gossh.Signer) []gossh.AuthMethod
		key    bool // that is registered
		reason string
	}{
		"nothing":  {func(_, _ gossh.Signer) []gossh.AuthMethod { return nil }, false, "no key was offered"},
		"password": {func(_, _ gossh.Signer) []gossh.AuthMethod { return []gossh.AuthMethod{gossh.Password("x")} }, false, "no key was offered"},
		"a key of somebody else": {func(theirs, mine gossh.Signer) []gossh.AuthMethod {
			return []gossh.AuthMethod{gossh.PublicKeys(&claim{mine, theirs.PublicKey()})}
		}, true, "the key is registered, but was not proved"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "sha1")
			alice := signer(t, w.alice(t))
			stranger, _ := w.stranger(t, "mallory")
			client, err := gossh.Dial("tcp", w.server.Addr(), &gossh.ClientConfig{
				User: "git", HostKeyCallback: gossh.InsecureIgnoreHostKey(), Auth: test.method(alice, signer(t, stranger)),
			})
			if err == nil {
				client.Close()
				t.Fatal("it was let in")
			}
			e := w.failedSignIn()
			if has := e.Actor.Key == gossh.FingerprintSHA256(alice.PublicKey()); has != test.key || e.Reason != test.reason {
				t.Errorf("recorded %+v", e)
			}
		})
	}
	t.Run("nobody tries", func(t *testing.T) {
		w := newWorld(t, "sha1")
		conn, err := net.Dial("tcp", w.server.Addr())
		must(t, err)
		_, err = bufio.NewReader(conn).ReadString('\n')
		must(t, errors.Join(err, conn.Close()))
		w.alice(t).command("a")
		w.stop()
		must(t, <-w.stopped) // with everything recorded
		w.stopped <- nil
		if all := w.records.of(deploy.EventSignInFailed); len(all) > 0 {
			t.Errorf("recorded %+v", all)
		}
	})
}

// Agents hold many keys: the registered one may come after others.
func TestSeveralKeys(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	options := ""
	for i := range 8 {
		path := filepath.Join(alice.home, fmt.Sprint("other", i))
		makeKey(t, path)
		options += " -i " + path
	}
	alice.setSSH(options + " -i " + alice.home + "/key")
	alice.git("push", "production", "main")
	if o := alice.run("git", "ls-remote", "production"); strings.Contains(o.stderr, "slipway:") || o.status != 0 {
		t.Errorf("the second time, nothing is to be said: %d\n%s", o.status, o.stderr)
	}
	if n := len(w.records.of(deploy.EventSignInFailed)); n > 0 {
		t.Errorf("%d failed sign-ins", n)
	}
}

// A client may offer somebody else's public key, without having its private half, before it proves
// its own: it is who it proved to be (CVE-2024-45337).
func TestOfferedKeyIsNobody(t *testing.T) {
	w := newWorld(t, "sha1")
	root := w.user(t, "root", deploy.RoleAdmin, "")
	victor := w.user(t, "victor", deploy.RoleViewer, deploy.RoleViewer)
	theirs, mine := signer(t, root), signer(t, victor)
	client, err := gossh.Dial("tcp", w.server.Addr(), &gossh.ClientConfig{
		User:            "git",
		HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		Auth: []gossh.AuthMethod{gossh.PublicKeysCallback(func() ([]gossh.Signer, error) {
			return []gossh.Signer{&claim{mine, theirs.PublicKey()}, mine}, nil
		})},
	})
	if err == nil {
		defer client.Close()
		session, err := client.NewSession()
		must(t, err)
		out, _ := session.Output("whoami")
		if strings.Contains(string(out), "root") {
			t.Errorf("taken for somebody else: %q", out)
		}
	}
}

// claim says to be one key and signs with another.
type claim struct {
	gossh.Signer
	public gossh.PublicKey
}

func (c *claim) PublicKey() gossh.PublicKey { return c.public }

func signer(t *testing.T, p *person) gossh.Signer {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.home, "key"))
	must(t, err)
	s, err := gossh.ParsePrivateKey(b)
	must(t, err)
	return s
}

func dial(t *testing.T, p *person) *gossh.Client {
	t.Helper()
	return dialAt(t, p, p.w.server.Addr())
}

func dialAt(t *testing.T, p *person, addr string) *gossh.Client {
	t.Helper()
	client, err := gossh.Dial("tcp", addr, &gossh.ClientConfig{
		User: "git", HostKeyCallback: gossh.InsecureIgnoreHostKey(), Auth: []gossh.AuthMethod{gossh.PublicKeys(signer(t, p))},
	})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// Nothing but a public key gets in.
func TestOnlyPublicKeys(t *testing.T) {
	w := newWorld(t, "sha1")
	for name, method := range map[string][]gossh.AuthMethod{
		"none":                 nil,
		"password":             {gossh.Password("")},
		"keyboard-interactive": {gossh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil })},
	} {
		client, err := gossh.Dial("tcp", w.server.Addr(), &gossh.ClientConfig{User: "root", HostKeyCallback: gossh.InsecureIgnoreHostKey(), Auth: method})
		if err == nil {
			client.Close()
			t.Errorf("%s let somebody in", name)
		}
	}
}

// A connection outlives the key that opened it; its sessions do not.
func TestRemovedKey(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	client := dial(t, alice)
	session, err := client.NewSession()
	must(t, err)
	out, err := session.Output("a")
	if string(out) != "alice runs [\"a\"]\n" {
		t.Errorf("%q, %v", out, err)
	}
	w.people.remove(gossh.FingerprintSHA256(signer(t, alice).PublicKey()))
	session, err = client.NewSession()
	must(t, err)
	out, err = session.CombinedOutput("a")
	if err == nil || !strings.Contains(string(out), "is not registered any more") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestHostKey(t *testing.T) {
	w := newWorld(t, "sha1")
	info, err := os.Stat(w.layout.HostKey())
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	b, err := os.ReadFile(w.layout.HostKey())
	must(t, err)
	if !strings.HasPrefix(string(b), "-----BEGIN OPENSSH PRIVATE KEY-----") {
		t.Errorf("%.40q", b)
	}
	if left, _ := filepath.Glob(w.layout.HostKey() + ".*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	must(t, os.Chmod(w.layout.HostKey(), 0o644))
	again := gitserver.New(gitserver.Config{Addr: "127.0.0.1:0", HostKeyPath: w.layout.HostKey(), HooksDir: t.TempDir(), HookProgram: hookProgram})
	if err := again.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a host key that others can read: %v", err)
	}
}

// Strangers who connect and say nothing are cut off, the first ones at once when there are too many, and
// keep nobody out.
func TestSilentStrangers(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) {
		c.Limits.Handshake = 5 * time.Second
		c.Limits.UnauthenticatedPerIP = 5
	})
	alice := w.alice(t)
	var strangers []net.Conn
	for range 50 {
		conn, err := net.Dial("tcp", w.server.Addr())
		must(t, err)
		defer conn.Close()
		strangers = append(strangers, conn)
	}
	if o := alice.command("a"); o.status != 1 {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}
	begin := time.Now()
	for i, conn := range strangers {
		must(t, conn.SetReadDeadline(begin.Add(20*time.Second)))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stranger %d is still there", i)
		}
		if took := time.Since(begin); i < 40 && took > 4*time.Second {
			t.Errorf("stranger %d was there for %s", i, took)
		}
	}
}

func TestWhoGoesForWhom(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) {
		c.Limits.Unauthenticated = 4
		c.Limits.UnauthenticatedPerIP = 3
	})
	connect := func(ip string) net.Conn {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		conn, err := from.Dial("tcp", w.server.Addr())
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		if line, err := bufio.NewReaderSize(conn, 16).ReadString('-'); err != nil { // it has been let in
			t.Fatalf("%q %v", line, err)
		}
		return conn
	}
	gone := func(conn net.Conn, want bool) {
		t.Helper()
		must(t, conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		_, err := io.Copy(io.Discard, conn)
		if got := !errors.Is(err, os.ErrDeadlineExceeded); got != want {
			t.Errorf("gone: %v, want %v", got, want)
		}
	}
	lonely := connect("127.0.0.9")
	first, second, third := connect("127.0.0.1"), connect("127.0.0.1"), connect("127.0.0.1")
	connect("127.0.0.8") // the fifth
	gone(first, true)
	connect("127.0.0.1") // its third, and the fifth of all
	gone(second, true)
	gone(third, false)
	gone(lonely, false)
}
