package release

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"slipway/deploy"
)

func TestReleaseDirectory(t *testing.T) {
	b := newBench(t)
	job := b.job(7, "")
	work := job.Tree
	// The pushed tree cannot make REVISION anything else.
	if err := os.Symlink("/etc/passwd", filepath.Join(work, "REVISION")); err != nil {
		t.Fatal(err)
	}
	c := b.started(job)
	if want := b.layout.Release("shop", 7); c.Release.Dir != want || job.Tree != want {
		t.Errorf("release in %s, job in %s, want %s", c.Release.Dir, job.Tree, want)
	}
	if _, err := os.Lstat(work); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the work tree: %v", err)
	}
	info, err := os.Lstat(filepath.Join(job.Tree, "REVISION"))
	if err != nil || !info.Mode().IsRegular() {
		t.Fatalf("REVISION: %v, %v", info, err)
	}
	if got, _ := os.ReadFile(filepath.Join(job.Tree, "REVISION")); string(got) != string(revisionOf(7))+"\n" {
		t.Errorf("REVISION: %q", got)
	}
	i := c.Instances[0]
	for path, want := range map[string]string{
		"/write/storage": "",
		"/write/tmp":     "",
		"/write/app":     "403 open ./written: read-only file system\n",
	} {
		if got := get(i, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(b.layout.Storage("shop"), "written")); err != nil {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	b := newBench(t)
	for n := range deploy.Number(8) {
		if _, err := b.make(b.job(n+1, "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.MarkCurrent("shop", 2); err != nil {
		t.Fatal(err)
	}
	b.router.routed["shop"] = 3
	gone, err := pruned(b, "shop", []deploy.Number{5}, 2)
	if want := []deploy.Number{6, 4, 1}; err != nil || !slices.Equal(gone, want) {
		t.Errorf("pruned %v, %v, want %v", gone, err, want)
	}
	for _, n := range gone {
		b.nothingOf(n)
	}
	left, err := b.numbers("shop")
	if want := []deploy.Number{8, 7, 5, 3, 2}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left %v, %v, want %v", left, err, want)
	}
	b.router.routed["shop"] = 0
}

func TestMarkCurrent(t *testing.T) {
	b := newBench(t)
	for _, n := range []deploy.Number{1, 2} {
		if _, err := b.make(b.job(n, "")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // again is no error
			if err := b.MarkCurrent("shop", n); err != nil {
				t.Fatal(err)
			}
		}
		if to, err := os.Readlink(b.layout.Current("shop")); err != nil || to != "releases/"+n.String() {
			t.Errorf("current is %q, %v", to, err)
		}
	}
	if err := b.MarkCurrent("shop", 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a release that is not there: %v", err)
	}
	for range 2 {
		if err := b.MarkCurrent("shop", 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(b.layout.Current("shop")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("current: %v", err)
	}
}

func TestSweep(t *testing.T) {
	b := newBench(t)
	one := b.started(b.job(1, "")).Instances[0]
	two := b.started(b.job(2, "")).Instances[0]
	b.job(3, "") // a work tree that nobody will finish
	b.job(4, "") // and one in flight
	half := b.layout.Release("shop", 5) + removing
	if err := os.MkdirAll(half, 0o755); err != nil {
		t.Fatal(err)
	}
	torn := b.folder("shop", 6, "web", 1) // a crash before its spec was written
	if err := os.MkdirAll(torn, 0o700); err != nil {
		t.Fatal(err)
	}
	unfinished := []string{ // crashes before files took their places
		b.planPath("shop", 7) + ".new", b.planPath("shop", 1) + ".new", b.quietPath("shop") + ".new", b.layout.Current("shop") + ".new",
	}
	for _, path := range unfinished {
		if err := os.Symlink("half", path); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Sweep(t.Context(), b.target, 1, 4); err != nil {
		t.Fatal(err)
	}
	if get(one, "/") == "" || get(two, "/") != "" {
		t.Error("the wrong instances were ended")
	}
	for _, gone := range append(unfinished, b.layout.Work("shop", 3), half, torn) {
		if _, err := os.Lstat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	for _, kept := range []string{b.layout.Work("shop", 4), b.layout.Release("shop", 2), b.layout.Release("shop", 1)} {
		if _, err := os.Lstat(kept); err != nil {
			t.Error(err)
		}
	}
}
