package repo_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/gitserver/repo"
)

const app = deploy.AppName("shop")

// both runs a test with each object format.
func both(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for _, format := range []repo.ObjectFormat{repo.SHA1, repo.SHA256} {
		t.Run(string(format), func(t *testing.T) { test(t, newWorld(t, format)) })
	}
}

// world is a store with one repository, and a person's own clone of it.
type world struct {
	*testing.T
	store  *repo.Store
	layout deploy.Layout
	work   string
}

func newWorld(t *testing.T, format repo.ObjectFormat) *world {
	t.Helper()
	layout := deploy.Layout(t.TempDir())
	w := &world{T: t, layout: layout, store: repo.New(repo.Config{Layout: layout}), work: t.TempDir()}
	must(t, w.store.Create(t.Context(), app, repo.Options{ObjectFormat: format}))
	w.git("init", "-q", "-b", "main", "--object-format="+string(format))
	w.git("remote", "add", "origin", w.store.Dir(app))
	return w
}

// git runs git as a person in the clone.
func (w *world) git(args ...string) string {
	w.Helper()
	return w.gitIn("", args...)
}

func (w *world) gitIn(stdin string, args ...string) string {
	w.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.work
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.work, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.org", "GIT_AUTHOR_DATE=1700000000 +0100",
		"GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.org", "GIT_COMMITTER_DATE=1700000000 +0100"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSuffix(string(out), "\n")
}

// commit commits files, given as path and content in turn, and pushes the commit where no ref shows
// it, as a push that is being gated has it.
func (w *world) commit(subject string, files ...string) deploy.OID {
	w.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(w.work, files[i])
		must(w.T, os.MkdirAll(filepath.Dir(path), 0o755))
		must(w.T, os.WriteFile(path, []byte(files[i+1]), 0o644))
	}
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", subject)
	return w.send()
}

// send makes HEAD's objects known to the repository.
func (w *world) send() deploy.OID {
	w.Helper()
	oid := deploy.OID(w.git("rev-parse", "HEAD"))
	w.git("push", "-q", "origin", "HEAD:refs/test/"+string(oid))
	return oid
}

func (w *world) zero(oid deploy.OID) deploy.OID {
	return deploy.OID(strings.Repeat("0", len(oid)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A revision is received, read, checked out; its ref is prepared, and moves at the end; the next push
// was made from what came before and is stale.
func TestStory(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		one := w.commit("Add cart", "main.go", "package main\n", "lib/cart.go", "package lib\n")

		revision := w.store.Revision(app, one)
		tree := t.TempDir()
		must(t, revision.Checkout(ctx, tree))
		if b, err := os.ReadFile(filepath.Join(tree, "lib/cart.go")); err != nil || string(b) != "package lib\n" {
			t.Errorf("checked out %q, %v", b, err)
		}

		transaction, err := w.store.Prepare(ctx, app, deploy.RefUpdate{Ref: repo.DefaultRef, Old: w.zero(one), New: one})
		must(t, err)
		if got, err := w.store.Resolve(ctx, app, repo.DefaultRef); got != "" || err != nil {
			t.Errorf("before the commit main is at %q, %v", got, err)
		}
		must(t, transaction.Commit(ctx))
		if got, err := w.store.Resolve(ctx, app, repo.DefaultRef); got != one || err != nil {
			t.Errorf("main is at %q, %v; want %s", got, err, one)
		}
		must(t, w.store.Keep(ctx, app, 42, one))
		if got, err := w.store.Resolve(ctx, app, "refs/slipway/deployments/42"); got != one || err != nil {
			t.Errorf("deployment 42 is at %q, %v", got, err)
		}

		two := w.commit("Fix cart", "lib/cart.go", "package cart\n")
		if yes, err := w.store.Revision(app, two).DescendsFrom(ctx, one); !yes || err != nil {
			t.Errorf("two descends from one: %v, %v", yes, err)
		}
		_, err = w.store.Prepare(ctx, app, deploy.RefUpdate{Ref: repo.DefaultRef, Old: w.zero(one), New: two})
		if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeStale || !strings.Contains(r.Hint, "git pull --rebase") {
			t.Errorf("a push that does not know one: %v", err)
		}
	})
}

func TestCreate(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		if err := w.store.Create(ctx, app, repo.Options{}); !errors.Is(err, deploy.ErrExists) {
			t.Errorf("a second one: %v", err)
		}
		must(t, w.store.Create(ctx, "blog", repo.Options{GatedRef: "refs/heads/release/live"}))
		head, err := os.ReadFile(filepath.Join(w.store.Dir("blog"), "HEAD"))
		if string(head) != "ref: refs/heads/release/live\n" || err != nil {
			t.Errorf("HEAD is %q, %v", head, err)
		}
		if hooks, _ := filepath.Glob(filepath.Join(w.store.Dir("blog"), "hooks", "*")); len(hooks) > 0 {
			t.Errorf("hook files: %q", hooks)
		}
		if err := w.store.Create(ctx, "odd", repo.Options{GatedRef: "refs/tags/v1"}); err == nil || w.store.Exists("odd") {
			t.Errorf("a tag as gated branch: %v", err)
		}
		must(t, w.store.Remove(ctx, "blog"))
		if err := w.store.Remove(ctx, "blog"); !errors.Is(err, deploy.ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
		if w.store.Exists("blog") || !w.store.Exists(app) {
			t.Error("blog should be gone and shop be there")
		}
		entries, err := filepath.Glob(filepath.Join(w.layout.Repos(), ".*", "*"))
		if len(entries) > 0 || err != nil {
			t.Errorf("left behind: %q, %v", entries, err)
		}
	})
}

func TestTransactions(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		one, two := w.commit("one"), w.commit("two")
		create := deploy.RefUpdate{Ref: "refs/heads/main", New: one}

		held, err := w.store.Prepare(ctx, app, create)
		must(t, err)
		if _, err := w.store.Prepare(ctx, app, create); err == nil {
			t.Error("a second one got the lock too")
		} else if _, ok := deploy.AsRejection(err); ok {
			t.Errorf("a lock held by another is no staleness: %v", err)
		}
		must(t, held.Abort())
		must(t, held.Abort())
		if err := held.Commit(ctx); err == nil {
			t.Error("committed after abort")
		}
		if got, _ := w.store.Resolve(ctx, app, "refs/heads/main"); got != "" {
			t.Errorf("aborted, and main is at %s", got)
		}

		all, err := w.store.PrepareAll(ctx, app, []deploy.RefUpdate{create, {Ref: "refs/tags/v1", New: two}})
		must(t, err)
		must(t, all.Commit(ctx))
		must(t, all.Abort())
		_, err = w.store.PrepareAll(ctx, app, []deploy.RefUpdate{{Ref: "refs/heads/main", Old: one, New: two}, {Ref: "refs/tags/v1", Old: one, New: w.zero(one)}})
		if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeStale || !strings.Contains(r.Message, "v1 is at "+two.Short()) {
			t.Errorf("one of two is stale: %v", err)
		}
		remove, err := w.store.Prepare(ctx, app, deploy.RefUpdate{Ref: "refs/tags/v1", Old: two, New: w.zero(two)})
		must(t, err)
		must(t, remove.Commit(ctx))
		if move, ok := w.store.LastMove(app, "refs/tags/v1", w.zero(two)); !ok || move.Old != two {
			t.Errorf("the last move: %+v, %v", move, ok)
		}
		want := map[deploy.RefName]deploy.OID{"refs/heads/main": one}
		got, err := w.store.ResolveAll(ctx, app, "refs/heads/main", "refs/tags/v1")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	})
}

// A transaction is not the pusher's: his leaving neither ends it nor lets go of the lock.
func TestTransactionOutlivesItsContext(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		one := w.commit("one")
		ctx, leave := context.WithCancel(t.Context())
		transaction, err := w.store.Prepare(ctx, app, deploy.RefUpdate{Ref: "refs/heads/main", New: one})
		must(t, err)
		leave()
		must(t, transaction.Commit(ctx))
		if got, _ := w.store.Resolve(t.Context(), app, "refs/heads/main"); got != one {
			t.Errorf("main is at %q", got)
		}
		if _, err := w.store.Prepare(ctx, app, deploy.RefUpdate{Ref: "refs/heads/new", New: one}); !errors.Is(err, context.Canceled) {
			t.Errorf("prepared for one who had left: %v", err)
		}
	})
}

func TestBadUpdates(t *testing.T) {
	w := newWorld(t, repo.SHA1)
	one := w.commit("one")
	for _, u := range []deploy.RefUpdate{
		{Ref: "refs/heads/a b", New: one},
		{Ref: "refs/heads/../../config", New: one},
		{Ref: "HEAD", New: one},
		{Ref: "refs/heads", New: one},
		{Ref: "refs/heads/x.lock", New: one},
		{Ref: "refs/heads/x", New: "HEAD"},
		{Ref: "refs/heads/x", New: "refs/heads/main^{/one}"},
		{Ref: "refs/heads/x", New: one + one[:24]},
		{Ref: "refs/heads/x", Old: w.zero(one), New: w.zero(one)},
		{Ref: "refs/heads/x", New: deploy.OID(strings.Repeat("12", 20))}, // no such object
		{Ref: "refs/heads/x", New: deploy.OID(w.git("rev-parse", "HEAD^{tree}"))},
	} {
		if tx, err := w.store.Prepare(t.Context(), app, u); err == nil {
			t.Errorf("prepared %+v", u)
			_ = tx.Abort()
		}
	}
}

func TestReadFile(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		must(t, os.Symlink("/etc/passwd", filepath.Join(w.work, "link")))
		revision := w.store.Revision(app, w.commit("one", "slipway.toml", "[build]\n", "dir/file", "x", "odd [*]", "literal", "empty", ""))
		for path, want := range map[string]string{"slipway.toml": "[build]\n", "dir/file": "x", "odd [*]": "literal", "empty": ""} {
			if b, err := revision.ReadFile(t.Context(), path, 8); string(b) != want || err != nil {
				t.Errorf("%s: %q, %v", path, b, err)
			}
		}
		for _, path := range []string{"missing", "dir", "link", "dir/file/below", "*.toml"} {
			if b, err := revision.ReadFile(t.Context(), path, 8); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %q, %v", path, b, err)
			}
		}
		for _, path := range []string{"", ".", "../x", "/etc/passwd", "dir/", "a\x00b"} {
			if b, err := revision.ReadFile(t.Context(), path, 8); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q: %q, %v", path, b, err)
			}
		}
		_, err := revision.ReadFile(t.Context(), "slipway.toml", 7)
		if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeSize {
			t.Errorf("one byte too many: %v", err)
		}
	})
}

func TestDescendsFrom(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		one := w.commit("one")
		two := w.commit("two")
		w.git("checkout", "-q", "--orphan", "other")
		other := w.commit("other")
		unknown := deploy.OID(strings.Repeat("ab", len(one)/2))
		for _, tt := range []struct {
			revision, ancestor deploy.OID
			want               bool
		}{{two, one, true}, {two, two, true}, {one, two, false}, {other, one, false}, {two, "", true}, {two, w.zero(one), true}, {two, unknown, false}} {
			if got, err := w.store.Revision(app, tt.revision).DescendsFrom(ctx, tt.ancestor); got != tt.want || err != nil {
				t.Errorf("%s from %s: %v, %v", tt.revision.Short(), tt.ancestor.Short(), got, err)
			}
		}
		_, err := w.store.Revision(app, unknown).DescendsFrom(ctx, one)
		if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeNotFound || !strings.HasSuffix(r.Message, " is not kept any more") {
			t.Errorf("of a revision that does not exist: %v", err)
		}
	})
}

func TestCommit(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		c, err := w.store.Commit(t.Context(), app, w.commit("Fix \x1b]0;evil\x07cart\ntotal\u202e\n\nbody"))
		want := deploy.Commit{Subject: "Fix ]0;evil cart total", Author: "Alice", AuthoredAt: time.Unix(1700000000, 0).UTC()}
		if diff := cmp.Diff(want, c); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		w.gitIn(strings.Repeat("long ", 500_000), "commit", "-q", "--allow-empty", "-F", "-")
		c, err = w.store.Commit(t.Context(), app, w.send())
		if n := len([]rune(c.Subject)); n < 195 || n > 200 || err != nil {
			t.Errorf("a subject of %d characters, %v", n, err)
		}
		w.git("config", "i18n.commitEncoding", "ISO-8859-1")
		if c, err := w.store.Commit(t.Context(), app, w.commit("gr\xfc\xdfe")); c.Subject != "grüße" || err != nil {
			t.Errorf("latin-1: %q, %v", c.Subject, err)
		}
		tree := deploy.OID(w.git("rev-parse", "HEAD^{tree}"))
		if _, err := w.store.Commit(t.Context(), app, tree); !errors.Is(err, repo.ErrNotCommit) {
			t.Errorf("a tree: %v", err)
		}
		if _, err := w.store.Commit(t.Context(), app, deploy.OID(strings.Repeat("ab", len(tree)/2))); !errors.Is(err, repo.ErrNotCommit) {
			t.Errorf("nothing: %v", err)
		}
	})
}

func TestCheckout(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		must(t, os.Symlink("../../etc/passwd", filepath.Join(w.work, "link")))
		must(t, os.WriteFile(filepath.Join(w.work, "run.sh"), []byte("#!/bin/sh\n"), 0o755))
		revision := w.store.Revision(app, w.commit("one", ".gitattributes", "secret export-ignore\n", "secret", "kept\n", "sub/dir/file", "x"))
		dir := t.TempDir()
		must(t, revision.Checkout(t.Context(), dir))
		if link, err := os.Readlink(filepath.Join(dir, "link")); link != "../../etc/passwd" || err != nil {
			t.Errorf("link to %q, %v", link, err)
		}
		if info, err := os.Stat(filepath.Join(dir, "run.sh")); err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("run.sh: %v, %v", info.Mode(), err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "secret")); string(b) != "kept\n" || err != nil {
			t.Errorf("what an archive leaves out: %q, %v", b, err)
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf(".git: %v", err)
		}
		if err := revision.Checkout(t.Context(), dir); err == nil {
			t.Error("checked out into a folder that is not empty")
		}
		if left, _ := filepath.Glob(filepath.Join(w.layout.Repos(), ".tmp", "*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// Trees that a client with a git of his own can send, where object checks did not refuse them.
func TestCheckoutOfHostileTrees(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		one := w.commit("one", "file", "x")
		blob := w.git("rev-parse", "HEAD:file")
		tree := func(mode, name, id string) string {
			raw, err := os.ReadFile("/dev/null")
			must(t, err)
			raw = append(raw, mode+" "+name+"\x00"...)
			for i := 0; i < len(id); i += 2 {
				raw = append(raw, unhex(id[i])<<4|unhex(id[i+1]))
			}
			return w.gitIn(string(raw), "hash-object", "-w", "-t", "tree", "--literally", "--stdin")
		}
		for name, tt := range map[string]struct{ tree, want string }{
			".git":        {tree("40000", ".git", tree("100644", "config", blob)), "cannot be checked out: .git/config"},
			".GIT":        {tree("40000", ".GIT", tree("100644", "config", blob)), "cannot be checked out"},
			"dot-dot":     {tree("40000", "..", tree("100644", "evil", blob)), "cannot be checked out: ../evil"},
			"slash":       {tree("100644", "../evil", blob), "cannot be checked out"},
			"submodule":   {tree("40000", "vendor", tree("160000", "lib", string(one))), "submodule at path vendor/lib is not supported: vendor it"},
			"git~1":       {tree("40000", "git~1", tree("100644", "config", blob)), "cannot be checked out"},
			"link, below": {w.gitIn("120000 blob "+w.gitIn("/tmp", "hash-object", "-w", "--stdin")+"\ta\n", "mktree"), ""},
		} {
			oid := deploy.OID(w.git("commit-tree", "-m", name, tt.tree))
			w.git("push", "-q", "origin", string(oid)+":refs/test/"+string(oid))
			dir := t.TempDir()
			err := w.store.Revision(app, oid).Checkout(t.Context(), dir)
			if tt.want == "" {
				must(t, err)
				continue
			}
			if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeCheckout || !strings.Contains(r.Message, tt.want) {
				t.Errorf("%s: %v", name, err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) > 0 {
				t.Errorf("%s: %v was written", name, entries)
			}
		}
	})
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// Whoever may push may push refs/replace, and must not have another tree deployed by it.
func TestReplacedObjectsAreNotSeen(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		good := w.commit("good", "file", "good")
		evil := w.commit("evil", "file", "evil")
		w.git("push", "-q", "origin", string(evil)+":refs/replace/"+string(good))
		b, err := w.store.Revision(app, good).ReadFile(t.Context(), "file", 100)
		if string(b) != "good" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		dir := t.TempDir()
		must(t, w.store.Revision(app, good).Checkout(t.Context(), dir))
		if b, _ := os.ReadFile(filepath.Join(dir, "file")); string(b) != "good" {
			t.Errorf("checked out %q", b)
		}
		if c, err := w.store.Commit(t.Context(), app, good); c.Subject != "good" || err != nil {
			t.Errorf("commit %q, %v", c.Subject, err)
		}
	})
}

// An operator's own git syncs what it writes, and leaves pruning to the server: in repositories that former
// versions have made, too, and unless the operator wants something else.
func TestGitOfAnOperator(t *testing.T) {
	w := newWorld(t, repo.SHA1)
	config := filepath.Join(w.store.Dir(app), "config")
	get := func(name string) string {
		return strings.TrimSpace(w.git("config", "--file", config, "--get", name))
	}
	check := func(what string) {
		t.Helper()
		trace := filepath.Join(t.TempDir(), "trace")
		w.git("config", "--global", "trace2.eventTarget", trace)
		w.commit(what)
		w.git("config", "--global", "--unset", "trace2.eventTarget")
		b, err := os.ReadFile(trace)
		must(t, err)
		if n := bytes.Count(b, []byte(`"fsync/hardware-flush"`)); n < 2 { // what unpacks objects, and what moves the ref
			t.Errorf("%s: %d processes have synced something", what, n)
		}
		if get("gc.auto") != "0" || get("maintenance.auto") != "false" || get("core.bare") != "true" {
			b, err := os.ReadFile(config)
			t.Errorf("%s: %s, %v", what, b, err)
		}
	}
	check("made")
	must(t, os.WriteFile(config, []byte("[core]\n\tbare = true"), 0o644))
	must(t, w.store.SweepAll(t.Context()))
	check("made by a former version")
	before, err := os.ReadFile(config)
	must(t, err)
	must(t, w.store.SweepAll(t.Context()))
	if after, err := os.ReadFile(config); string(after) != string(before) || err != nil {
		t.Errorf("changed again: %s, %v", after, err)
	}
	w.git("config", "--file", config, "core.fsync", "none")
	must(t, w.store.SweepAll(t.Context()))
	if got := get("core.fsync"); got != "none" {
		t.Errorf("core.fsync is %s", got)
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t, repo.SHA1)
	one := w.commit("one")
	dir := w.store.Dir(app)
	left := []string{"refs/heads/main.lock", "packed-refs.lock", "packed-refs.new", "HEAD.lock", "objects/pack/multi-pack-index.lock", "objects/tmp_objdir-incoming-abc/pack/x", "objects/pack/tmp_pack_x", "../.tmp/index-1/index", "../.trash/x/HEAD"}
	for _, name := range left {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, nil, 0o644))
	}
	left = append(left, "objects/pack/pack-x.keep")
	must(t, os.WriteFile(filepath.Join(dir, "objects/pack/pack-x.keep"), []byte("receive-pack 42 on host"), 0o644))
	left = append(left, "objects/pack/pack-cut.keep")
	must(t, os.WriteFile(filepath.Join(dir, "objects/pack/pack-cut.keep"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "objects/pack/pack-y.keep"), []byte("mine"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "objects/pack/pack-z.keep"), nil, 0o644))
	update := deploy.RefUpdate{Ref: "refs/heads/main", New: one}
	if _, err := w.store.Prepare(t.Context(), app, update); err == nil {
		t.Error("the lock that was left should be in the way")
	}
	must(t, w.store.SweepAll(t.Context()))
	for _, name := range left {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", name)
		}
	}
	for _, mine := range []string{"pack-y.keep", "pack-z.keep"} {
		if _, err := os.Stat(filepath.Join(dir, "objects/pack", mine)); err != nil {
			t.Errorf("an operator's mark: %v", err)
		}
	}
	tx, err := w.store.Prepare(t.Context(), app, update)
	must(t, err)
	must(t, tx.Commit(t.Context()))
}

func TestEnvironmentIsOurs(t *testing.T) {
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "core.bare")
	t.Setenv("GIT_CONFIG_VALUE_0", "nonsense")
	layout := deploy.Layout(t.TempDir())
	must(t, os.MkdirAll(filepath.Join(layout.Repos(), ".home"), 0o700))
	store := repo.New(repo.Config{Layout: layout})
	must(t, store.Create(t.Context(), app, repo.Options{}))
	version, err := store.Version(t.Context())
	if version == "" || err != nil {
		t.Errorf("version %q, %v", version, err)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                  "plain",
		"  a \t\n b  ":           "a b",
		"\x1b[31mred\x1b[0m":     "[31mred [0m",
		"\u202eevil\u2066":       "evil",
		"bad \xff byte":          "bad \ufffd byte",
		"0123456789 and so on":   "012345678…",
		"\u009b31m C1, \u0085 x": "31m C1, x",
	} {
		limit := 40
		if strings.HasPrefix(in, "0123") {
			limit = 10
		}
		if got := repo.Printable(in, limit); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Packs are joined while a push is being decided: its objects, which no ref shows, stay, and its
// transaction can still be committed.
func TestMaintain(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		dir := w.store.Dir(app)
		w.git("config", "--file", filepath.Join(dir, "config"), "receive.unpackLimit", "1")
		var oids []deploy.OID
		for i := range 6 {
			oids = append(oids, w.commit(strings.Repeat("x", i+1), "file", strings.Repeat("y", i)))
		}
		last := oids[5]
		tx, err := w.store.Prepare(ctx, app, deploy.RefUpdate{Ref: repo.DefaultRef, New: last})
		must(t, err)
		for _, oid := range oids { // from here on no ref shows them
			w.git("push", "-q", "origin", ":refs/test/"+string(oid))
		}
		must(t, w.store.Maintain(ctx, app))
		must(t, tx.Commit(ctx))
		if got, err := w.store.Resolve(ctx, app, repo.DefaultRef); got != last || err != nil {
			t.Errorf("main is at %q, %v", got, err)
		}
		packs, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
		if len(packs) != 1 {
			t.Errorf("%d packs", len(packs))
		}
		for _, oid := range oids {
			if _, err := w.store.Commit(ctx, app, oid); err != nil {
				t.Error(err)
			}
		}
		if w.store.NeedsMaintenance(app) {
			t.Error("needs it again")
		}
		for i := range 60 {
			must(t, os.WriteFile(filepath.Join(dir, "objects/pack", strings.Repeat("a", i+1)+".pack"), nil, 0o600))
		}
		if !w.store.NeedsMaintenance(app) {
			t.Error("60 packs need it")
		}
	})
}

func TestForget(t *testing.T) {
	w := newWorld(t, repo.SHA1)
	one := w.commit("one")
	must(t, w.store.Keep(t.Context(), app, 7, one))
	must(t, w.store.Forget(t.Context(), app, 7))
	must(t, w.store.Forget(t.Context(), app, 7))
	if got, err := w.store.Resolve(t.Context(), app, "refs/slipway/deployments/7"); got != "" || err != nil {
		t.Errorf("still at %q, %v", got, err)
	}
}
