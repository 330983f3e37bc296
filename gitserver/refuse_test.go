package gitserver_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/gitserver"
)

// recordedRefusal expects one refused push in the records, by alice unless she is a viewer.
func (w *world) recordedRefusal(code deploy.Code) deploy.Event {
	w.Helper()
	events := w.records.of(deploy.EventPushRefused)
	if len(events) != 1 {
		w.Fatalf("%d events push.refused", len(events))
	}
	e := events[0]
	var r deploy.Rejection
	must(w.T, json.Unmarshal(e.Data, &r))
	if r.Code != code || e.Reason != r.Message || e.App != shop || e.Outcome != deploy.OutcomeFail || e.Actor.Origin != "ssh" {
		w.Errorf("%+v of %+v", r, e)
	}
	return e
}

// What is refused before its pack has been read is in the records, too.
func TestRefusedBeforeThePack(t *testing.T) {
	t.Run("a viewer", func(t *testing.T) {
		w := newWorld(t, "sha1")
		victor := w.user(t, "victor", deploy.RoleDeveloper, deploy.RoleViewer)
		victor.start("sha1")
		contains(t, victor.fail("push", "production", "main"), "fatal: remote error: victor may read shop, not push to it")
		if e := w.recordedRefusal(deploy.CodeForbidden); e.Actor.Name != "victor" {
			t.Errorf("%+v", e.Actor)
		}
	})
	t.Run("no room", func(t *testing.T) {
		w := newWorld(t, "sha1", func(c *gitserver.Config) {
			c.Room = func(deploy.AppName) error { return deploy.Reject(deploy.CodeUnavailable, "the disk is full") }
		})
		alice := w.alice(t)
		alice.start("sha1")
		contains(t, alice.fail("push", "production", "main"), "fatal: remote error: the disk is full")
		w.recordedRefusal(deploy.CodeUnavailable)
	})
}

// A disk that fills while a pack is received may keep git from taking it in, and git does not always say why.
func TestFullMeanwhile(t *testing.T) {
	var asked atomic.Int32
	w := newWorld(t, "sha1", func(c *gitserver.Config) {
		c.Room = func(deploy.AppName) error {
			if asked.Add(1) == 1 {
				return nil
			}
			return deploy.Reject(deploy.CodeUnavailable, "the disk is full")
		}
	})
	alice := w.alice(t)
	alice.start("sha1")
	contains(t, alice.fail("push", "production", "main:refs/slipway/deployments/9"), "remote rejected", "slipway: the disk is full")
	w.recordedRefusal(deploy.CodeUnavailable)
}

// What is refused without the gate having heard of it is in the records as well, by its reason.
func TestRefusedWithoutTheGate(t *testing.T) {
	for name, test := range map[string]struct {
		push   []string
		reason string
		code   deploy.Code
	}{
		"one ref":                    {[]string{"main:refs/heads/main/below"}, "the name is in the way of the gated branch main", deploy.CodeUsage},
		"several":                    {[]string{"main:refs/heads/main/a", "main:refs/heads/main/b", "main:refs/heads/main/c"}, "the name is in the way of the gated branch main; and so 2 refs more", deploy.CodeUsage},
		"with others, all or none":   {[]string{"--atomic", "main:refs/heads/main/a", "main:refs/heads/other"}, "the name is in the way of the gated branch main", deploy.CodeUsage},
		"the gated branch's removal": {[]string{":main"}, "main is what production runs and cannot be deleted", deploy.CodeDelete},
		"no commit":                  {[]string{"main^{tree}:refs/heads/tree"}, "a branch must be a commit", deploy.CodeUsage},
		"the server's own":           {[]string{"main:refs/slipway/deployments/9"}, "git did not take in what was pushed", deploy.CodeUsage},
		"the server's own, beside":   {[]string{"main:refs/slipway/deployments/9", "main:other"}, "git itself refused 1 ref of the push", deploy.CodeUsage},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "sha1")
			alice := w.alice(t)
			alice.start("sha1")
			alice.git("push", "-q", "production", "main")
			alice.fail(append([]string{"push", "production"}, test.push...)...)
			w.noPushLeft()
			if e := w.recordedRefusal(test.code); e.Reason != test.reason || e.Actor.Name != "alice" {
				t.Errorf("recorded %+v", e)
			}
		})
	}
}

// One who leaves before the gate is asked has canceled the push, and did nothing wrong.
func TestLeavesBeforeTheGate(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	entered := make(chan struct{})
	w.gate.check = func(ctx context.Context, _ deploy.Offer) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	cmd := alice.begin("push", "production", "main")
	within(t, 10*time.Second, "the push", entered)
	must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	w.noPushLeft()
	if e := w.recordedRefusal(deploy.CodeCanceled); e.Reason != "canceled: the client went away" {
		t.Errorf("recorded %+v", e)
	}
}

// Git tells of its folders where something is wrong with them. They are the server's own business.
func TestFoldersAreNotTold(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	path := func(name string) string { return filepath.Join(w.store.Dir(shop), name) }

	// The git that unpacks, whose words come in a band of their own.
	must(t, os.WriteFile(path("objects/info/alternates"), []byte(path("nowhere")+"\n"), 0o600))
	contains(t, alice.run("git", "push", "production", "main:other").stderr, "remote: error: object directory /shop.git/nowhere does not exist")
	must(t, os.Remove(path("objects/info/alternates")))

	// The git that receives, before there is any band.
	must(t, os.Rename(path("objects"), path("away")))
	contains(t, alice.fail("push", "production", "main"), "fatal: '/shop.git' does not appear to be a git repository")
	must(t, os.Rename(path("away"), path("objects")))
	alice.git("push", "-q", "production", "main")
}
