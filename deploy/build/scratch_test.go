package build

import (
	"os"
	"path/filepath"
	"testing"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

// What a test set does to the tree, the artifact in it included, is not in the release, nor does another
// set see it; the set itself and the app beside it do. A build's writes stay.
func TestSetsLeaveTheTreeAlone(t *testing.T) {
	for name, copies := range map[string]bool{"overlay": false, "copy": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) {
				c.Sandbox = sandbox.New(sandbox.Config{Group: group(), CopyScratch: copies})
			})
			w.job.Manifest.Build.Cache = []string{"target"}
			if log, err := w.build("echo artifact >shop; mkdir sub; echo kept >target/kept"); err != nil {
				t.Fatal(err, log)
			}
			const damage = "echo tampered >shop; echo coverage >report; rm -r sub; echo two >>target/kept; mkdir -p out/put"
			if log, err := w.test(deploy.TestSet{Name: "one", Step: deploy.Step{Cache: []string{"out/put"}}}, damage, "grep tampered shop"); err != nil {
				t.Fatal(err, log)
			}
			const intact = `test "$(cat shop) $(ls)" = "artifact shop
sub
target"`
			if log, err := w.test(deploy.TestSet{Name: "two"}, intact, "grep two target/kept"); err != nil {
				t.Error(err, log)
			}
			w.withApp("cat written; exec " + tool + " app")
			if log, err := w.test(deploy.TestSet{Name: "three", App: true}, "echo by the set >written", "grep by.the.set written"); err != nil {
				t.Error(err, log)
			}
			b, err := os.ReadFile(filepath.Join(w.job.Tree, "shop"))
			if err != nil || string(b) != "artifact\n" {
				t.Errorf("the artifact is %q, %v", b, err)
			}
			for dir, want := range map[string]int{w.job.Tree: 3, filepath.Dir(w.job.Tree): 1} {
				if entries, err := os.ReadDir(dir); err != nil || len(entries) != want {
					t.Errorf("%s holds %v, %v", dir, entries, err)
				}
			}
		})
	}
}

// A set cannot have its next run, or another set's, mount a cache folder elsewhere through a link that it
// left in the tree: its links are gone with it.
func TestSetsLinkIsGone(t *testing.T) {
	w := newWorld(t)
	set := deploy.TestSet{Name: "one", Step: deploy.Step{Cache: []string{"made/by/set"}}}
	if log, err := w.test(deploy.TestSet{Name: "zero"}, "ln -s /cache made"); err != nil {
		t.Fatal(err, log)
	}
	if log, err := w.test(set, "echo x >made/by/set/file"); err != nil {
		t.Error(err, log)
	}
	if _, err := os.Lstat(filepath.Join(w.job.Tree, "made")); !os.IsNotExist(err) {
		t.Errorf("made in the tree: %v", err)
	}
	if log, err := w.test(set, "grep x made/by/set/file"); err != nil {
		t.Error(err, log)
	}
}
