package build

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

func TestCachePlaces(t *testing.T) {
	tree := t.TempDir()
	c := cache{dir: filepath.Join(t.TempDir(), "cache"), uid: os.Getuid(), gid: os.Getgid()}
	if err := os.MkdirAll(filepath.Join(tree, "vendor", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	mounted, occupied, err := c.places(tree, []string{"a/b/c", "vendor", "a/b", "./a/b/", ".next/cache"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".next/cache", "a/b", "vendor"}, mounted); diff != "" {
		t.Errorf("mounted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"vendor"}, occupied); diff != "" {
		t.Errorf("occupied (-want +got):\n%s", diff)
	}
	for _, p := range []string{filepath.Join(tree, "a/b"), filepath.Join(c.dir, "tree", "a%2Fb"), c.folder(".next/cache")} {
		if info, err := os.Lstat(p); err != nil || !info.IsDir() {
			t.Errorf("%s: %v, want a folder", p, err)
		}
	}
}

func TestCacheRefusesWhatLeadsAway(t *testing.T) {
	tree := t.TempDir()
	outside := t.TempDir()
	c := cache{dir: t.TempDir(), uid: os.Getuid(), gid: os.Getgid()}
	for _, err := range []error{
		os.Symlink(outside, filepath.Join(tree, "out")),
		os.Mkdir(filepath.Join(tree, "real"), 0o755),
		os.Symlink("real", filepath.Join(tree, "in")),
		os.WriteFile(filepath.Join(tree, "file"), nil, 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"out":     `cache folder "out": out is a symbolic link in the work tree`,
		"out/x":   `cache folder "out/x": out is a symbolic link in the work tree`,
		"in/x":    `cache folder "in/x": in is a symbolic link in the work tree`,
		"file":    `cache folder "file": file is a file in the work tree`,
		"file/x":  `cache folder "file/x": file is a file in the work tree`,
		"..":      `cache folder ".." is not a relative path below the work tree`,
		"a/../..": `cache folder ".." is not a relative path below the work tree`,
		"/etc":    `cache folder "/etc" is not a relative path below the work tree`,
		".":       `cache folder "." is not a relative path below the work tree`,
		"":        `cache folder "." is not a relative path below the work tree`,
	} {
		_, _, err := c.places(tree, []string{name}, true)
		r, ok := deploy.AsRejection(err)
		if !ok || r.Code != deploy.CodeManifest || r.Message != want {
			t.Errorf("places(%q) = %v, want %s", name, err, want)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("made outside the tree: %v", entries)
	}
}

func TestCacheFolders(t *testing.T) {
	w := newWorld(t)
	w.job.Manifest.Build.Cache = []string{"target/debug", ".next"}
	log, err := w.build("echo 1 > target/debug/object", "echo 1 > target/program", "echo 1 > .next/page")
	if err != nil {
		t.Fatal(err, log)
	}
	if log, err := w.test(deploy.TestSet{Name: "unit"}, "cat target/debug/object target/program .next/page"); err != nil {
		t.Error(err, log)
	}
	for name, want := range map[string]bool{"target/program": true, "target/debug": true, "target/debug/object": false, ".next/page": false} {
		if _, err := os.Lstat(filepath.Join(w.job.Tree, name)); (err == nil) != want {
			t.Errorf("%s in the tree: %v, want %v", name, err == nil, want)
		}
	}
	w.job = w.newJob(map[string]string{".next/tracked": "x"})
	w.job.Manifest.Build.Cache = []string{"target/debug", ".next"}
	log, err = w.build("cat target/debug/object .next/page")
	if err != nil {
		t.Error(err, log)
	}
	has(t, log, "kept for the next build, and not part of the release: .next, target/debug\n", "cache folder .next hides what the revision has there\n")
}

// A build that puts a link where the next one's cache begins gets nowhere.
func TestCacheCannotBePlanted(t *testing.T) {
	secret := t.TempDir()
	w := newWorld(t)
	w.job.Manifest.Build.Cache = []string{"a"}
	if log, err := w.build("ls -la a /cache", "! ln -s /etc /cache/../tree", "rmdir a || true", "ln -sfn "+secret+" a/b"); err != nil {
		t.Fatal(err, log)
	}
	w.job = w.newJob(nil)
	w.job.Manifest.Build.Cache = []string{"a/b"}
	if log, err := w.build("touch a/b/planted"); err != nil {
		t.Fatal(err, log)
	}
	if entries, _ := os.ReadDir(secret); len(entries) > 0 {
		t.Errorf("written outside: %v", entries)
	}

	if err := os.Symlink(secret, filepath.Join(w.job.Tree, "out")); err != nil {
		t.Fatal(err)
	}
	w.job.Manifest.Build.Cache = []string{"out"}
	_, err := w.build("touch out/planted")
	if r := w.rejection(err); r.Code != deploy.CodeManifest {
		t.Errorf("%+v", r)
	}
}
