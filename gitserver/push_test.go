package gitserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/gitserver"
	"slipway/gitserver/repo"
)

func reject(line string) func(context.Context, deploy.Offer, io.Writer) deploy.Answer {
	return func(context.Context, deploy.Offer, io.Writer) deploy.Answer {
		return deploy.Answer{Number: 7, Line: line}
	}
}

// What is not gated is stored as git would, whatever the gate says of the branch beside it.
func TestOtherRefsBesideTheGatedOne(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		one := alice.start(w.format())
		w.gate.admit = reject("no")
		alice.git("tag", "-a", "-m", "v1", "v1")
		tag := deploy.OID(alice.git("rev-parse", "v1"))
		out := alice.fail("push", "production", "main", "main:feature/cart", "v1")
		contains(t, out, "! [remote rejected] main -> main (no)", "* [new branch]", "main -> feature/cart", "* [new tag]")
		if w.ref("refs/heads/main") != "" || w.ref("refs/heads/feature/cart") != one || w.ref("refs/tags/v1") != tag {
			t.Errorf("main %q, feature %q, v1 %q", w.ref("refs/heads/main"), w.ref("refs/heads/feature/cart"), w.ref("refs/tags/v1"))
		}
		alice.commit("amended")
		alice.git("commit", "--amend", "-q", "-m", "again")
		alice.git("push", "-q", "--force", "production", "main:feature/cart") // no fast-forward: developers may
		alice.git("push", "-q", "production", ":feature/cart", ":v1")
		if w.ref("refs/heads/feature/cart") != "" || w.ref("refs/tags/v1") != "" {
			t.Error("they should be gone")
		}
		recorded := func(is deploy.EventType) (got []string) {
			for _, e := range w.records.of(is) {
				got = append(got, fmt.Sprintf("%s %s %s new:%v gone:%v", e.Actor.Name, e.App, e.Ref, e.Old.IsZero(), e.New.IsZero()))
			}
			return got
		}
		want := []string{
			"alice shop refs/heads/feature/cart new:true gone:false",
			"alice shop refs/tags/v1 new:true gone:false",
			"alice shop refs/heads/feature/cart new:false gone:false",
			"alice shop refs/heads/feature/cart new:false gone:true",
			"alice shop refs/tags/v1 new:false gone:true",
		}
		for _, is := range []deploy.EventType{deploy.EventRefIntended, deploy.EventRefUpdated} {
			if diff := cmp.Diff(want, recorded(is)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", is, diff)
			}
		}
	})
}

// A ref moves after its intent has been recorded, and not without.
func TestRefsMoveAfterTheirIntent(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		w := newWorld(t, "sha1")
		alice := w.alice(t)
		one := alice.start("sha1")
		push := []string{"push", "production", "main:one", "main:two"}
		if atomic {
			push = append(push, "--atomic")
		}
		var seen []deploy.OID
		w.records.refuse = func(e deploy.Event) error {
			if e.Type == deploy.EventRefIntended {
				seen = append(seen, w.ref(e.Ref))
			}
			if e.Type == deploy.EventRefIntended && e.Ref == "refs/heads/two" {
				return errors.New("the disk is full")
			}
			return nil
		}
		contains(t, alice.fail(push...), "main -> one (internal error)", "main -> two (internal error)")
		if w.ref("refs/heads/one") != "" || w.ref("refs/heads/two") != "" || len(w.records.of(deploy.EventRefUpdated)) != 0 {
			t.Errorf("atomic %v: moved without a record of the intent", atomic)
		}
		w.records.refuse = func(e deploy.Event) error {
			seen = append(seen, w.ref(e.Ref))
			return nil
		}
		alice.git(push...)
		if w.ref("refs/heads/one") != one || w.ref("refs/heads/two") != one {
			t.Errorf("atomic %v: the refs have not moved", atomic)
		}
		if diff := cmp.Diff([]deploy.OID{"", "", "", "", one, one}, seen); diff != "" {
			t.Errorf("atomic %v: the refs when their records were written (-want +got)\n%s", atomic, diff)
		}
	}
}

func TestOffer(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		admin := w.user(t, "root", deploy.RoleAdmin, "")
		one := admin.start(w.format())
		admin.git("push", "-q", "-o", "bypass", "-o", "reason=it burns; really", "production", "main")
		admin.commit("second")
		admin.git("push", "-q", "production", "main")
		admin.git("reset", "-q", "--hard", string(one))
		three := admin.commit("third")
		contains(t, admin.fail("push", "production", "main"), "[rejected]", "non-fast-forward") // the client itself
		admin.git("push", "-q", "--force", "production", "main")

		offers := w.gate.seen()
		if len(offers) != 3 {
			t.Fatalf("%d offers", len(offers))
		}
		first, last := offers[0], offers[2]
		if !first.Update.Old.IsZero() || first.Update.New != one || first.Update.Ref != "refs/heads/main" || first.App != shop {
			t.Errorf("the first: %+v", first.Update)
		}
		if diff := cmp.Diff([]string{"bypass", "reason=it burns; really"}, first.Options); diff != "" {
			t.Errorf("options (-want +got)\n%s", diff)
		}
		if p := first.Pusher; p.User != "root" || !p.Admin || p.IP != "127.0.0.1" || !strings.HasPrefix(p.Fingerprint, "SHA256:") {
			t.Errorf("pusher %+v", p)
		}
		if c := first.Commit; c.Subject != "first" || c.Author != "root" || c.AuthoredAt.IsZero() {
			t.Errorf("commit %+v", c)
		}
		if ff, err := last.Revision.DescendsFrom(t.Context(), last.Update.Old); ff || err != nil || last.Update.New != three {
			t.Errorf("the forced one is a fast-forward: %v, %v", ff, err)
		}
		if b, err := last.Revision.ReadFile(t.Context(), "file", 100); string(b) != "third\n" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		if w.ref("refs/heads/main") != three {
			t.Error("the gate accepted, and main did not move")
		}
	})
}

// TestHeadAtTheEnd: whoever pushes reads last where the records end, whatever became of the push.
func TestHeadAtTheEnd(t *testing.T) {
	const head = "1234:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	w := newWorld(t, repo.SHA1, func(c *gitserver.Config) { c.Head = func() string { return head } })
	alice := w.alice(t)
	alice.start(w.format())
	last := func(out string) string {
		t.Helper()
		told := ""
		for line := range strings.Lines(out) {
			if said, ok := strings.CutPrefix(line, "remote: "); ok {
				told = strings.TrimSpace(said)
			}
		}
		return told
	}
	for _, ref := range []string{"main", "main:topic"} {
		if got := last(alice.run("git", "push", "production", ref).stderr); got != "audit head "+head {
			t.Errorf("a push of %s ends with %q", ref, got)
		}
	}
	w.gate.admit = func(_ context.Context, _ deploy.Offer, progress io.Writer) deploy.Answer {
		fmt.Fprintln(progress, "rejected: no")
		return deploy.Answer{Line: "no"}
	}
	alice.commit("Break it")
	if got := last(alice.fail("push", "production", "main")); got != "audit head "+head {
		t.Errorf("a rejected push ends with %q", got)
	}
}

func TestPorcelain(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	w.gate.admit = reject("monitor: 3 of 4 requests failed: deployment 7")
	o := alice.run("git", "push", "--porcelain", "production", "main", "main:other")
	contains(t, o.stdout, "!\trefs/heads/main:refs/heads/main\t[remote rejected] (monitor: 3 of 4 requests failed: deployment 7)",
		"*\trefs/heads/main:refs/heads/other\t[new branch]")
	if o.status != 1 {
		t.Errorf("exit status %d", o.status)
	}
}

func TestCheckRefusesBeforeTheGate(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		alice.start(w.format())
		w.gate.check = func(ctx context.Context, o deploy.Offer) error {
			b, err := o.Revision.ReadFile(ctx, "file", 100)
			r := deploy.Reject(deploy.CodeManifest, "file:1: %q is no \x1b[2Jmanifest (%v)", strings.TrimSpace(string(b)), err).WithHint("did you mean:\n  second")
			r.Line = "broken manifest"
			return r
		}
		contains(t, alice.fail("push", "production", "main"), "remote: refused: file:1: \"first\" is no manifest (<nil>)", "remote: did you mean:", "remote:   second", "(broken manifest)")
		w.gate.check = func(context.Context, deploy.Offer) error { return errors.New("disk on fire") }
		out := alice.fail("push", "production", "main")
		contains(t, out, "(internal error)")
		if strings.Contains(out, "fire") || !strings.Contains(w.log.String(), "disk on fire") {
			t.Errorf("a fault is for the log only:\n%s", out)
		}
		if n := len(w.gate.seen()); n > 0 {
			t.Errorf("%d offers got to the gate", n)
		}
	})
}

func TestDeleteOfTheGatedBranch(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		one := alice.start(w.format())
		alice.git("push", "-q", "production", "main")
		contains(t, alice.fail("push", "production", ":main"), "(main is what production runs and cannot be deleted)")
		contains(t, alice.fail("push", "production", ":main", "main:other"), "cannot be deleted", "[new branch]")
		contains(t, alice.fail("push", "production", "main:main/sub"), "(the name is in the way of the gated branch main)")
		contains(t, alice.fail("push", "production", "main:refs/slipway/deployments/1"), "[remote rejected]", "hidden ref")
		if w.ref("refs/heads/main") != one || len(w.gate.seen()) != 1 {
			t.Error("main should be as it was")
		}
	})
}

func TestNotACommit(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	alice.git("tag", "-a", "-m", "v1", "v1")
	contains(t, alice.fail("push", "production", "v1:refs/heads/main"), "[remote rejected]", "(not a commit)")
	contains(t, alice.fail("push", "production", "main^{tree}:refs/heads/tree", "main:refs/heads/good"), "(a branch must be a commit)", "[new branch]")
	if len(w.gate.seen()) > 0 {
		t.Error("it got to the gate")
	}
}

func TestAtomic(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		one := alice.start(w.format())
		push := func(refs ...string) string {
			return alice.fail(append([]string{"push", "--atomic", "production"}, refs...)...)
		}
		w.gate.admit = reject("test unit failed")
		contains(t, push("main", "main:other"), "main -> main (test unit failed)", "main -> other (atomic push failed)")
		w.gate.admit = nil
		w.gate.check = func(context.Context, deploy.Offer) error { return deploy.Reject(deploy.CodeManifest, "broken") }
		contains(t, push("main", "main:other"), "main -> main (broken)", "main -> other (atomic push failed)")
		w.gate.check = nil
		contains(t, push("main", "main:refs/slipway/x"), "main -> main (another ref of this atomic push is refused)", "hidden ref")
		contains(t, push("main", "main:main/x"), "main -> main (atomic push failed)", "in the way")
		if w.ref("refs/heads/main") != "" || w.ref("refs/heads/other") != "" || len(w.gate.seen()) != 1 {
			t.Fatalf("something moved, or got to the gate: %d offers", len(w.gate.seen()))
		}

		alice.git("push", "-q", "--atomic", "production", "main", "main:other", "main:third")
		if w.ref("refs/heads/main") != one || w.ref("refs/heads/other") != one || w.ref("refs/heads/third") != one {
			t.Error("all should have moved")
		}
		two := alice.commit("second")
		contains(t, push("main", ":third"), "(an atomic push cannot delete refs beside the gated branch")
		alice.git("push", "-q", "--atomic", "production", "main:other", ":third")
		if w.ref("refs/heads/other") != two || w.ref("refs/heads/third") != "" {
			t.Error("without the gated branch an atomic push may delete")
		}
	})
}

// While the gate decides on an atomic push, its other refs are held.
func TestAtomicHoldsTheOthers(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	one := alice.start("sha1")
	w.gate.admit = func(ctx context.Context, o deploy.Offer, _ io.Writer) deploy.Answer {
		if _, err := w.store.Prepare(ctx, shop, deploy.RefUpdate{Ref: "refs/heads/other", New: one}); err == nil {
			t.Error("somebody else got the lock")
		}
		return w.gate.accept(ctx, o, 1)
	}
	alice.git("push", "-q", "--atomic", "production", "main", "main:other")
	if w.ref("refs/heads/other") != one {
		t.Error("other did not move")
	}
}

// bob's push is made on top of alice's, which is still being decided: it can be accepted after hers,
// and git prints the range that really is.
func TestStackedPush(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		alice.start(w.format())
		alice.git("push", "-q", "production", "main")
		one := alice.commit("alice's")
		bob := w.user(t, "bob", deploy.RoleDeveloper, deploy.RoleDeveloper)
		bob.git("clone", "-q", alice.dir, ".")
		bob.git("remote", "add", "production", bob.url("/shop"))
		two := bob.commit("bob's")

		bobWaits, aliceIsIn := make(chan struct{}), make(chan struct{})
		w.gate.admit = func(ctx context.Context, o deploy.Offer, _ io.Writer) deploy.Answer {
			if o.Commit.Subject == "bob's" {
				close(bobWaits)
				<-aliceIsIn
				return w.gate.accept(ctx, o, 2)
			}
			<-bobWaits
			defer close(aliceIsIn)
			return w.gate.accept(ctx, o, 1)
		}
		his := make(chan outcome, 1)
		go func() { his <- bob.run("git", "push", "production", "main") }()
		alice.git("push", "-q", "production", "main")
		o := <-his
		if o.status != 0 {
			t.Fatalf("bob's push: %d\n%s", o.status, o.stderr)
		}
		contains(t, o.stderr, fmt.Sprintf("%s..%s  main -> main", one.Short(), two.Short()))
		if w.ref("refs/heads/main") != two {
			t.Error("main is not bob's")
		}
	})
}

func TestObjectChecks(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		alice.start(w.format())
		must(t, os.WriteFile(filepath.Join(alice.dir, "tree"), []byte("040000 tree "+alice.git("rev-parse", "HEAD^{tree}")+"\t.git\x00"), 0o600))
		o := alice.run("sh", "-c", "git mktree -z <tree")
		if o.status == 0 {
			commit := alice.git("commit-tree", "-m", "evil", strings.TrimSpace(o.stdout))
			contains(t, alice.fail("push", "production", commit+":refs/heads/evil"), "hasDotgit", "remote rejected")
		} else {
			t.Logf("this git makes no such tree: %s", o.stderr)
		}
		if entries, _ := filepath.Glob(filepath.Join(w.store.Dir(shop), "objects", "tmp_objdir*")); len(entries) > 0 {
			t.Errorf("left behind: %q", entries)
		}
	})
}

func TestEmptyAndUpToDate(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	if out := alice.git("ls-remote", "production"); out != "" {
		t.Errorf("an empty repository lists %q", out)
	}
	alice.git("push", "-q", "production", "main")
	o := alice.run("git", "push", "production", "main")
	contains(t, o.stderr, "Everything up-to-date")
	if o.status != 0 {
		t.Errorf("exit status %d", o.status)
	}
}

func TestBadPushOptions(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	contains(t, alice.fail("push", "-o", "reason=\x1b[2J", "production", "main"), "(a push option holds control characters)")
	contains(t, alice.fail("push", "-o", strings.Repeat("x", 20<<10), "production", "main"), "(too many push options)")
	many := []string{"push", "production", "main"}
	for i := range 101 {
		many = slices.Insert(many, 1, "-o", fmt.Sprint(i))
	}
	contains(t, alice.fail(many...), "(too many push options)")
	many = slices.Insert(many, len(many), "main:other")
	contains(t, alice.fail(many...), "[new branch]") // options are the gate's affair
}

// What the gate prints reaches a stranger's terminal without the means to rule it.
func TestProgressIsSafe(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	w.gate.admit = func(_ context.Context, _ deploy.Offer, progress io.Writer) deploy.Answer {
		fmt.Fprint(progress, "\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b[2Jand \x1b")
		fmt.Fprint(progress, "[10Aup\n\ttab ünï\u202e\n")
		return deploy.Answer{Line: "a\x1b[2J\nb"}
	}
	out := alice.fail("push", "production", "main")
	contains(t, out, "remote: \x1b[1;31mred\x1b[0m and up", "remote: \ttab ünï", "(a [2J b)")
	for _, bad := range []string{"\x1b]", "\x1b[2J", "\x1b[10A", "\u202e", "\x07"} {
		if strings.Contains(out, bad) {
			t.Errorf("%q got through", bad)
		}
	}
}

// A gate may print more than any buffer on the way holds.
func TestLoudGate(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	line := strings.Repeat("x", 99) + "\n"
	w.gate.admit = func(ctx context.Context, o deploy.Offer, progress io.Writer) deploy.Answer {
		for range 20_000 {
			if _, err := io.WriteString(progress, line); err != nil {
				t.Error(err)
			}
		}
		return w.gate.accept(ctx, o, 1)
	}
	o := alice.run("git", "push", "production", "main")
	if n := strings.Count(o.stderr, strings.TrimSpace(line)); n != 20_000 || o.status != 0 {
		t.Errorf("%d lines arrived, exit status %d", n, o.status)
	}
}

func TestPanicInTheGate(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	w.gate.admit = func(context.Context, deploy.Offer, io.Writer) deploy.Answer { panic("bug") }
	contains(t, alice.fail("push", "production", "main"), "(internal error)")
	w.gate.check = func(context.Context, deploy.Offer) error { panic("bug") }
	contains(t, alice.fail("push", "production", "main"), "remote rejected")
	w.gate.check, w.gate.admit = nil, nil
	alice.git("push", "-q", "production", "main")
}

func TestManyRefs(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.RefUpdates = 300 })
	alice := w.alice(t)
	alice.start("sha1")
	push := func(n int) []string {
		args := []string{"push", "-q", "production"}
		for i := range n {
			args = append(args, fmt.Sprintf("main:refs/heads/b%d", i))
		}
		return args
	}
	contains(t, alice.fail(push(301)...), "slipway: a push may move 300 refs at most: push in parts")
	w.recordedRefusal(deploy.CodeSize)
	alice.git(push(300)...)
	if got := strings.Count(alice.git("ls-remote", "--heads", "production"), "\n"); got != 299 {
		t.Errorf("%d refs", got+1)
	}
	if n := len(w.records.of(deploy.EventRefUpdated)); n != 300 {
		t.Errorf("%d events", n)
	}
}

func TestPackLimit(t *testing.T) {
	w := newWorld(t, "sha1", func(c *gitserver.Config) { c.Limits.PackBytes = 64 << 10 })
	alice := w.alice(t)
	alice.start("sha1")
	o := alice.run("sh", "-c", "head -c 1000000 /dev/urandom >big && git add big && git commit -q -m big")
	if o.status != 0 {
		t.Fatal(o.stderr)
	}
	contains(t, alice.fail("push", "production", "main"), "exceeds maximum allowed size",
		"slipway: a push may bring 65536 bytes at most\npush in parts, or ask an admin to raise max_push\n")
	w.recordedRefusal(deploy.CodeSize)
	if files, _ := filepath.Glob(filepath.Join(w.store.Dir(shop), "objects", "*", "*pack*")); len(files) > 0 {
		t.Errorf("left behind: %q", files)
	}
	alice.git("reset", "-q", "--hard", "HEAD~")
	alice.git("push", "-q", "production", "main")
}

// A grant that is taken away while the pack is on its way holds at the end of it.
func TestRightTakenAwayDuringThePush(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	hooks := filepath.Join(alice.dir, ".git", "hooks")
	must(t, os.MkdirAll(hooks, 0o755))
	marker := filepath.Join(alice.home, "connected")
	// The client's own hook runs when it has seen the server's refs, and before it sends anything.
	must(t, os.WriteFile(filepath.Join(hooks, "pre-push"), []byte("#!/bin/sh\ntouch "+marker+"\nwhile [ -e "+marker+" ]; do sleep 0.01; done\n"), 0o755))
	done := make(chan outcome, 1)
	go func() { done <- alice.run("git", "push", "production", "main", "main:other") }()
	for {
		if _, err := os.Stat(marker); err == nil {
			break
		}
	}
	w.people.mu.Lock()
	w.people.grants["alice"] = deploy.RoleViewer
	w.people.mu.Unlock()
	must(t, os.Remove(marker))
	o := <-done
	contains(t, o.stderr, "main -> main (you may not push here any more)", "main -> other (you may not push here any more)")
	if e := w.recordedRefusal(deploy.CodeForbidden); e.Reason != "you may not push here any more; and so 1 ref more" {
		t.Errorf("recorded %+v", e)
	}
	if w.ref("refs/heads/other") != "" || len(w.gate.seen()) > 0 {
		t.Error("something moved, or got to the gate")
	}
}
