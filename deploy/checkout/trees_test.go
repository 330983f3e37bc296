package checkout_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/checkout"
	"slipway/gitserver/repo"
)

// world is an app's repository, a clone to commit in, and the trees of the data directory.
type world struct {
	testing.TB
	layout deploy.Layout
	repos  *repo.Store
	trees  *checkout.Trees
	work   string
	app    deploy.App
	next   deploy.Number
	end    func()
	full   bool // the disk; set before anything is made
}

const sandboxUser = 200007

func newWorld(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{TB: t, layout: deploy.Layout(dir), work: t.TempDir(), app: deploy.App{Name: "shop", ID: 7}}
	w.repos = repo.New(repo.Config{Layout: w.layout})
	w.trees = checkout.New(checkout.Config{Layout: w.layout, Repository: w.repos, Owner: w.owner, Room: func(context.Context, deploy.App) bool { return !w.full }, Logger: slog.New(slog.DiscardHandler)})
	w.must(os.MkdirAll(w.layout.App("shop"), 0o755))
	w.must(w.repos.Create(t.Context(), "shop", repo.Options{}))
	w.git("init", "-q", "-b", "main")
	w.git("remote", "add", "origin", w.repos.Dir("shop"))
	w.run()
	t.Cleanup(func() { w.end() })
	return w
}

func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.trees.Run(ctx) }()
	w.end = func() { cancel(); w.must(<-done) }
}

func (w *world) owner(uint32) (uid, gid int) {
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid()
	}
	return sandboxUser, sandboxUser
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) git(args ...string) string {
	w.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.work
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.work, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.org", "GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.org"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits files, given as path and content in turn.
func (w *world) commit(files ...string) deploy.OID {
	w.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(w.work, files[i])
		w.must(os.MkdirAll(filepath.Dir(path), 0o755))
		w.must(os.WriteFile(path, []byte(files[i+1]), 0o644))
	}
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", "change")
	w.git("push", "-q", "origin", "HEAD:refs/heads/main", "--force")
	return deploy.OID(w.git("rev-parse", "HEAD"))
}

func (w *world) job(revision deploy.OID) *deploy.Job {
	w.next++
	return &deploy.Job{Number: w.next, App: w.app, Revision: revision, Tree: w.layout.Work("shop", w.next)}
}

// spare waits until there is a spare of revision.
func (w *world) spare(revision deploy.OID) {
	w.Helper()
	w.trees.Ahead(w.app, revision)
	made := time.NewTicker(time.Millisecond)
	defer made.Stop()
	for range made.C {
		if checkout.Ready(w.trees, w.app, revision) {
			return
		}
	}
}

func (w *world) read(dir, name string) string {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	w.must(err)
	return string(b)
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// The first tree is checked out whole; the next begins at the spare, and shares nothing with the first.
func TestCheckout(t *testing.T) {
	w := newWorld(t, t.TempDir())
	one := w.commit("a/file", "one", "other", "same")
	first := w.job(one)
	_, err := w.trees.Checkout(t.Context(), first)
	w.must(err)
	w.spare(one)
	spared := inode(t, filepath.Join(w.layout.Spare("shop"), "other"))

	two := w.commit("a/file", "two", "b/new", "new")
	second := w.job(two)
	_, err = w.trees.Checkout(t.Context(), second)
	w.must(err)
	if w.read(second.Tree, "a/file") != "two" || w.read(second.Tree, "other") != "same" || w.read(second.Tree, "b/new") != "new" {
		t.Error("the second tree is not the second revision")
	}
	if inode(t, filepath.Join(second.Tree, "other")) != spared {
		t.Error("the second tree was not made from the spare")
	}
	if _, err := os.Lstat(w.layout.Spare("shop")); err == nil {
		t.Error("the spare is still there")
	}
	// A build writes in place.
	w.must(os.WriteFile(filepath.Join(second.Tree, "other"), []byte("built"), 0o644))
	if w.read(first.Tree, "other") != "same" {
		t.Error("one tree's build has changed another tree")
	}
	uid, _ := w.owner(7)
	for _, p := range []string{".", "a", "a/file", "b", "b/new", "other"} {
		info, err := os.Lstat(filepath.Join(second.Tree, p))
		w.must(err)
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != uid {
			t.Errorf("%s belongs to %d", p, got)
		}
	}
}

// A push that comes while the spare is being made, or after it was dropped, gets its tree all the same.
func TestCheckoutBesideSpares(t *testing.T) {
	w := newWorld(t, t.TempDir())
	one := w.commit("file", "one")
	for i := range 20 {
		w.trees.Ahead(w.app, one)
		if i%3 == 0 {
			w.must(w.trees.Drop(t.Context(), "shop"))
		}
		next := w.commit("file", fmt.Sprint(i))
		job := w.job(next)
		_, err := w.trees.Checkout(t.Context(), job)
		w.must(err)
		if got := w.read(job.Tree, "file"); got != fmt.Sprint(i) {
			t.Fatalf("%q in tree %d", got, i)
		}
		one = next
	}
	// Another app of the same name must not get the first one's tree.
	w.spare(one)
	w.app.ID = 8
	job := w.job(w.commit("file", "other app"))
	_, err := w.trees.Checkout(t.Context(), job)
	w.must(err)
	if got := w.read(job.Tree, "file"); got != "other app" {
		t.Errorf("%q in the other app's tree", got)
	}
}

// A spare that is wanted while the one before is being removed is made when that has gone, for it has the same
// place: otherwise a part of the new one would be removed with the old one, and the next tree lack it.
func TestSpareBesideDrop(t *testing.T) {
	w := newWorld(t, t.TempDir())
	one := w.commit("file", "one")
	w.spare(one)
	two := w.commit("file", "two")
	w.end()
	w.end = func() {}
	calls, dropping := make(chan struct{}, 10), make(chan struct{})
	checkout.BeforeRemoving(w.trees, func() {
		calls <- struct{}{}
		<-dropping
	})
	dropped := make(chan error)
	go func() { dropped <- w.trees.Drop(t.Context(), "shop") }()
	<-calls // the first one is being removed from now on
	w.run()
	w.trees.Ahead(w.app, two)
	select {
	case <-calls:
		t.Error("the next one is being made already")
	case <-time.After(100 * time.Millisecond):
	}
	close(dropping)
	w.must(<-dropped)
	w.spare(two)
	if got := w.read(w.layout.Spare("shop"), "file"); got != "two" {
		t.Errorf("%q in the spare", got)
	}
}

// An app that is removed while its spare is made leaves nothing behind.
func TestDrop(t *testing.T) {
	w := newWorld(t, t.TempDir())
	one := w.commit("file", "one")
	for range 10 {
		w.must(os.MkdirAll(w.layout.App("shop"), 0o755))
		w.trees.Ahead(w.app, one)
		w.must(w.trees.Drop(t.Context(), "shop"))
		w.must(os.RemoveAll(w.layout.App("shop")))
	}
	w.trees.Ahead(w.app, one)
	w.end()
	w.end = func() {}
	if _, err := os.Lstat(w.layout.App("shop")); err == nil {
		t.Error("the app's folder is back")
	}
}

// A removed app gets no spare for a deployment of it that is only now ending, whose folder would be in the way
// of its removal. Another app of the name does.
func TestForget(t *testing.T) {
	w := newWorld(t, t.TempDir())
	one := w.commit("file", "one")
	w.trees.Ahead(w.app, one)
	w.must(w.trees.Forget(t.Context(), w.app))
	w.end()
	w.end = func() {}
	w.trees.Ahead(w.app, one)
	if checkout.Wanted(w.trees, "shop") {
		t.Error("a spare is wanted of an app that is gone")
	}
	w.app.ID++
	w.run()
	w.spare(one)
}

// What git or a person's shell would not follow is not followed: a spare whose place is taken, a tree
// that cannot be advanced.
func TestCheckoutWhole(t *testing.T) {
	w := newWorld(t, t.TempDir())
	one := w.commit("file", "one\n")
	w.spare(one)
	job := w.job(w.commit(".gitattributes", "* eol=crlf\n"))
	_, err := w.trees.Checkout(t.Context(), job)
	w.must(err)
	if got := w.read(job.Tree, "file"); got != "one\r\n" {
		t.Errorf("%q: attributes count for every file", got)
	}
	w.spare(one)
	w.must(os.RemoveAll(w.layout.Spare("shop"))) // by a person who wants the space
	job = w.job(one)
	_, err = w.trees.Checkout(t.Context(), job)
	w.must(err)
	if got := w.read(job.Tree, "file"); got != "one\n" {
		t.Errorf("%q", got)
	}
}

func TestPointers(t *testing.T) {
	w := newWorld(t, t.TempDir())
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	check := func(revision deploy.OID, want string) {
		t.Helper()
		notes, err := w.trees.Checkout(t.Context(), w.job(revision))
		w.must(err)
		if got := strings.Join(notes, "\n"); got != want {
			t.Errorf("noted %q, want %q", got, want)
		}
		w.spare(revision)
	}
	check(w.commit("notes.txt", pointer), "")
	check(w.commit("img/.gitattributes", "*.png filter=lfs diff=lfs merge=lfs -text\n", "img/a.png", pointer, "big", strings.Repeat(pointer, 20)),
		"img/a.png, notes.txt are Git LFS pointers: LFS is not supported, the build gets the pointer and not the file")
	check(w.commit("notes.txt", "text", "img/a.png", pointer+"\n"),
		"img/a.png is a Git LFS pointer: LFS is not supported, the build gets the pointer and not the file")
	w.git("rm", "-q", "img/a.png")
	check(w.commit("a", "b"), "")
	var many []string
	for i := range 9 {
		many = append(many, fmt.Sprintf("img/%d.png", i), pointer)
	}
	check(w.commit(many...), "img/0.png, img/1.png, img/2.png, img/3.png, img/4.png and 4 more are Git LFS pointers: LFS is not supported, the build gets the pointer and not the file")
}

// Symbolic links out of the tree stay what they are, and nobody follows them.
func TestLinksOut(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	w := newWorld(t, t.TempDir())
	w.must(os.WriteFile(outside, []byte("kept"), 0o600))
	w.must(os.Symlink(filepath.Dir(outside), filepath.Join(w.work, "out")))
	w.must(os.Symlink(outside, filepath.Join(w.work, ".gitattributes")))
	one := w.commit("file", "x")
	w.spare(one)
	// The link becomes a folder of the same name as the file outside.
	w.must(os.Remove(filepath.Join(w.work, "out")))
	job := w.job(w.commit("out/secret", "inside"))
	_, err := w.trees.Checkout(t.Context(), job)
	w.must(err)
	if got := w.read(job.Tree, "out/secret"); got != "inside" {
		t.Errorf("%q in the tree", got)
	}
	if got := w.read(filepath.Dir(outside), "secret"); got != "kept" {
		t.Errorf("%q outside of it", got)
	}
	if info, err := os.Lstat(outside); err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
		t.Errorf("outside: %v, %v", info, err)
	}
}
