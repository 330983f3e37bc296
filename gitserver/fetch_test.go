package gitserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/deploy"
)

// history pushes three commits and returns them, the newest last.
func history(p *person) []deploy.OID {
	p.Helper()
	oids := []deploy.OID{p.start(p.w.format()), p.commit("second"), p.commit("third")}
	p.git("push", "-q", "production", "main")
	return oids
}

func TestClones(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		oids := history(alice)
		for _, version := range []string{"0", "1", "2"} {
			dir := "shallow" + version
			alice.git("-c", "protocol.version="+version, "clone", "-q", "--depth=1", alice.url("/shop"), dir)
			if n := alice.git("-C", dir, "rev-list", "--count", "HEAD"); n != "1" {
				t.Errorf("version %s: %s commits in a shallow clone", version, n)
			}
			alice.git("-C", dir, "-c", "protocol.version="+version, "fetch", "-q", "--unshallow")
			if n := alice.git("-C", dir, "rev-list", "--count", "HEAD"); n != "3" {
				t.Errorf("version %s: %s commits after --unshallow", version, n)
			}
			dir = "partial" + version
			alice.git("-c", "protocol.version="+version, "clone", "-q", "--filter=blob:none", "--no-checkout", alice.url("/shop"), dir)
			if out := alice.git("-C", dir, "rev-list", "--objects", "--missing=print", "HEAD"); !strings.Contains(out, "\n?") {
				t.Errorf("version %s: nothing is missing in a partial clone", version)
			}
			if got := alice.git("-C", dir, "-c", "protocol.version="+version, "show", string(oids[0])+":file"); got != "first" {
				t.Errorf("version %s: fetched %q later", version, got)
			}
		}
	})
}

func TestPushFromAShallowClone(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		history(alice)
		bob := w.user(t, "bob", deploy.RoleDeveloper, deploy.RoleDeveloper)
		bob.git("clone", "-q", "--depth=1", bob.url("/shop"), ".")
		four := bob.commit("fourth")
		bob.git("push", "-q", "origin", "main")
		if w.ref("refs/heads/main") != four {
			t.Error("main did not move")
		}
		// What the server does not have behind it, it cannot take.
		carol := w.user(t, "carol", deploy.RoleDeveloper, deploy.RoleDeveloper)
		alice.commit("fifth, not pushed")
		carol.git("clone", "-q", "--depth=1", "file://"+alice.dir, ".")
		carol.git("remote", "add", "production", carol.url("/shop"))
		carol.commit("sixth")
		n := len(w.gate.seen())
		contains(t, carol.fail("push", "--force", "production", "main", "main:other"), "shallow update not allowed")
		if len(w.gate.seen()) != n {
			t.Error("a doomed update got to the gate")
		}
	})
}

// The revision of a rejected deployment is fetched by name, and is in nobody's way.
func TestDeploymentRefs(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		oids := history(alice)
		must(t, w.store.Keep(t.Context(), shop, 42, oids[1]))
		for _, version := range []string{"0", "2"} {
			alice.git("init", "-q", "--object-format="+w.format(), "empty"+version)
			alice.git("-C", "empty"+version, "-c", "protocol.version="+version, "fetch", "-q", alice.url("/shop"), "+refs/heads/*:refs/heads/*")
			out := alice.git("-C", "empty"+version, "for-each-ref", "--format=%(refname)")
			if out != "refs/heads/main" {
				t.Errorf("version %s: fetched %q", version, out)
			}
		}
		alice.git("fetch", "-q", "production", "refs/slipway/deployments/42")
		if got := alice.git("rev-parse", "FETCH_HEAD"); got != string(oids[1]) {
			t.Errorf("fetched %s", got)
		}
		if out := alice.git("-c", "protocol.version=0", "ls-remote", "production"); strings.Contains(out, "slipway") {
			t.Errorf("version 0 lists %q", out)
		}
	})
}

func TestArchive(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		oids := history(alice)
		o := alice.run("sh", "-c", fmt.Sprintf("git archive --remote=%s %s file | tar -xO", alice.url("/shop"), oids[0]))
		if o.stdout != "first\n" {
			t.Errorf("archived %q\n%s", o.stdout, o.stderr)
		}
		contains(t, alice.fail("archive", "--remote="+alice.url("/nothing"), "main"), "repository not found")
		contains(t, alice.fail("archive", "--remote="+alice.url("/shop"), "--output=/etc/evil", "nothing"), "fatal")
	})
}

func TestViewer(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		oids := history(alice)
		victor := w.user(t, "victor", deploy.RoleViewer, deploy.RoleViewer)
		victor.git("clone", "-q", victor.url("/shop"), ".")
		victor.commit("mine")
		out := victor.fail("push", "origin", "main:mine")
		contains(t, out, "fatal: remote error: victor may read shop, not push to it; ask an admin to run: slipway app grant shop victor developer")
		if w.ref("refs/heads/mine") != "" || w.ref("refs/heads/main") != oids[2] {
			t.Error("something moved")
		}
	})
}

// What one may not see does not exist, whatever it is called.
func TestNotSeen(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	history(alice)
	nobody := w.user(t, "nobody", deploy.RoleDeveloper, "")
	for _, service := range [][]string{{"clone", "-q"}, {"ls-remote"}} {
		contains(t, nobody.fail(append(service, nobody.url("/shop"))...), "fatal: remote error: repository not found")
	}
	nobody.start("sha1")
	contains(t, nobody.fail("push", "production", "main"), "fatal: remote error: repository not found")

	secret := filepath.Join(string(w.layout), "secret.git")
	must(t, os.CopyFS(secret, os.DirFS(w.store.Dir(shop))))
	for _, path := range []string{"/other", "/../secret", "/../secret.git", "/shop/../../secret", "//shop", "/shop/", "/shop.git.git", "/./shop", "/SHOP", "/.home", "/.tmp", "/-shop", "/--upload-pack=x", "/shop%00", "/" + secret, "/shop;id", "/shop'", "/$HOME", "/~alice", "/" + strings.Repeat("a", 4000), "/" + strings.Repeat("../", 1000) + "etc"} {
		contains(t, alice.fail("ls-remote", alice.url(path)), "fatal: remote error: repository not found")
	}
	contains(t, alice.fail("ls-remote", alice.url("/"+strings.Repeat("a", 10<<10))), "slipway: the command is longer than 8192 bytes")
	host, port, _ := strings.Cut(w.server.Addr(), ":")
	alice.setSSH("-i " + alice.home + "/key -p " + port)
	for _, path := range []string{"shop", "shop.git", "/shop", "/shop.git"} {
		alice.git("ls-remote", "anybody@"+host+":"+path)
	}
	if n := len(w.records.of(deploy.EventSignInFailed)); n != 0 {
		t.Errorf("%d failed sign-ins recorded", n)
	}
}

func TestDirectoryFails(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	w.people.mu.Lock()
	w.people.failure = errors.New("database is locked")
	w.people.mu.Unlock()
	out := alice.fail("push", "production", "main")
	contains(t, out, "slipway: internal error")
	if strings.Contains(out, "locked") {
		t.Errorf("a fault is for the log only:\n%s", out)
	}
	contains(t, w.log.String(), "database is locked")
}

// A fetch does not wait while the gate decides.
func TestFetchDuringAPush(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	oids := history(alice)
	alice.commit("fourth")
	bob := w.user(t, "bob", deploy.RoleDeveloper, deploy.RoleViewer)
	w.gate.admit = func(ctx context.Context, o deploy.Offer, _ io.Writer) deploy.Answer {
		bob.git("clone", "-q", bob.url("/shop"), ".")
		if got := bob.git("rev-parse", "HEAD"); got != string(oids[2]) {
			t.Errorf("cloned %s while %s is being decided", got, o.Update.New)
		}
		return w.gate.accept(ctx, o, 1)
	}
	alice.git("push", "-q", "production", "main")
}
