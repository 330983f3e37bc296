package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// scratches runs a test with an overlay, where the machine can have one, and with a copy.
func scratches(t *testing.T, test func(t *testing.T, s *Sandbox)) {
	t.Helper()
	t.Run("overlay", func(t *testing.T) { test(t, newSandbox()) })
	t.Run("copy", func(t *testing.T) { test(t, New(Config{Group: testGroup(), CopyScratch: true})) })
}

// scratched is a command in a tree at /app whose writes go elsewhere.
func scratched(t *testing.T, s *Sandbox, script string) (spec Spec, tree string) {
	t.Helper()
	tree = folder(t, s, 7)
	made := shell(`umask 022; mkdir -p sub/deep shut; echo one >sub/deep/file; ln sub/deep/file second; ln -s sub link
		mkfifo pipe; echo run >tool; chmod 755 tool; echo secret >hidden; chmod 000 hidden
		touch -d 2001-02-03T04:05:06Z sub/deep/file; chmod 500 shut; touch -d 2001-02-03T04:05:06Z sub`)
	made.Dir = "/app"
	made.Mounts = append(made.Mounts, Mount{Source: tree, Target: "/app", Writable: true})
	must(t, s, made)
	spec = shell(script)
	spec.Dir = "/app"
	spec.Mounts = append(spec.Mounts, Mount{Source: tree, Target: "/app", Scratch: tree + ".scratch"})
	spec.Watched = []string{tree + ".scratch"}
	return spec, tree
}

// listing is everything about a tree: names, kinds, modes, sizes, times, contents.
func listing(t *testing.T, dir string) string {
	t.Helper()
	list := exec.Command("sh", "-c", `find . -printf '%P %y %m %U %s %T@ %l\n' | sort; find . -type f | sort | xargs sha256sum`)
	list.Dir = dir
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestScratch: whatever a command does to a tree that it may write to, the tree stays as it is, and what it
// wrote is gone with it. Without the scratch folder the same command changes the tree.
func TestScratch(t *testing.T) {
	needRoot(t) // the listing reads what only its owner may
	const damage = `echo two >>second; echo new >new; rm link; mv sub renamed; chmod 777 tool; rm pipe; chmod 700 shut; echo x >shut/x
		mkdir a; ln -s / a/root; cat renamed/deep/file`
	scratches(t, func(t *testing.T, s *Sandbox) {
		spec, tree := scratched(t, s, damage)
		before := listing(t, tree)
		if got := must(t, s, spec); !strings.HasPrefix(got, "one") {
			t.Errorf("it read %q", got)
		}
		if after := listing(t, tree); after != before {
			t.Errorf("the tree was\n%s\nand is\n%s", before, after)
		}
		if _, err := os.Lstat(tree + ".scratch"); !os.IsNotExist(err) {
			t.Errorf("the scratch folder: %v", err)
		}
		spec.Mounts[1] = Mount{Source: tree, Target: "/app", Writable: true}
		must(t, s, spec)
		if listing(t, tree) == before {
			t.Error("the command changes nothing, so this proves nothing")
		}
	})
}

// TestScratchIsAlike: in the view everything is as in the tree, hard links among files included.
func TestScratchIsAlike(t *testing.T) {
	scratches(t, func(t *testing.T, s *Sandbox) {
		const look = `find . -mindepth 1 ! -path ./shut -printf '%P %y %m %U %s %Ts %l %n\n' | sort; cat second link/deep/file; stat -c %a .`
		spec, tree := scratched(t, s, look)
		view := must(t, s, spec)
		spec.Mounts[1] = Mount{Source: tree, Target: "/app"}
		if direct := must(t, s, spec); direct != view || !strings.Contains(direct, "second f 644") {
			t.Errorf("the view is\n%s\nand the tree\n%s", view, direct)
		}
	})
}

// TestScratchWithoutRoom: where there are too few inodes for the view, or for what is written there, that is what is
// said. A kernel that cannot make the overlay's own folder mounts it all the same, to be read only.
func TestScratchWithoutRoom(t *testing.T) {
	needRoot(t)
	scratches(t, func(t *testing.T, s *Sandbox) {
		refused := 0
		for inodes := 1; inodes <= 40; inodes++ {
			spec, _ := scratched(t, s, "echo two >second; echo new >new; echo another >another")
			small := folder(t, s, 7)
			if err := unix.Mount("tmpfs", small, "tmpfs", 0, fmt.Sprintf("nr_inodes=%d", inodes)); err != nil {
				t.Fatal(err)
			}
			spec.Mounts[1].Scratch = filepath.Join(small, "scratch")
			spec.Watched = []string{spec.Mounts[1].Scratch}
			r, output, err := try(t, s, spec)
			if err := unix.Unmount(small, 0); err != nil {
				t.Error(err)
			}
			switch {
			case errors.Is(err, unix.ENOSPC):
				refused++
			case err != nil || r.Err() != nil && !strings.Contains(output, "No space left on device"):
				t.Errorf("with %d inodes: %v, %v: %s", inodes, err, r, output)
			case inodes == 40 && r.Err() != nil:
				t.Errorf("with room: %v: %s", r, output)
			}
		}
		if refused < 4 {
			t.Errorf("refused %d times", refused)
		}
	})
}

// TestScratchCounts: what is written to the view counts as disk, what was in the tree does not, and the
// space is free again.
func TestScratchCounts(t *testing.T) {
	scratches(t, func(t *testing.T, s *Sandbox) {
		spec, tree := scratched(t, s, "head -c 5000000 /dev/zero >small")
		large := filepath.Join(tree, "large")
		if err := os.WriteFile(large, make([]byte, 30<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(large, 1<<40); err != nil { // more than there is of disk
			t.Fatal(err)
		}
		spec.Limits.Disk = 10 << 20
		must(t, s, spec)
		spec.Argv[2] = "head -c 40000000 /dev/zero >big; sleep 20"
		if r, output := finish(t, s, spec); r.Struck != "disk limit of 10 MiB reached; all its processes were ended" {
			t.Errorf("%v %s", r, output)
		}
		if _, err := os.Lstat(tree + ".scratch"); !os.IsNotExist(err) {
			t.Errorf("the scratch folder: %v", err)
		}
	})
}

// TestScratchMountsStayInside: the host never sees the overlay, and this process stays where it was.
func TestScratchMountsStayInside(t *testing.T) {
	needRoot(t)
	s := newSandbox()
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	spec, tree := scratched(t, s, "echo ready; sleep 60")
	spec.Limits.Disk = 1 << 30
	p, _ := started(t, s, t.Context(), spec)
	var system unix.Statfs_t
	if err := unix.Statfs("/proc/"+pidOf(t, p)+"/root/app", &system); err != nil || system.Type != unix.OVERLAYFS_SUPER_MAGIC {
		t.Errorf("inside there is a file system of type %x, %v: this machine should have overlays", system.Type, err)
	}
	during, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || string(during) != string(before) {
		t.Errorf("%v, the host's mounts were\n%s\nand are\n%s", err, before, during)
	}
	if entries, err := os.ReadDir(View(tree + ".scratch")); err != nil || len(entries) > 0 {
		t.Errorf("the host sees %v, %v", entries, err)
	}
}

// TestScratchWithoutWalls: in ModeNone a command works in the view's own folder.
func TestScratchWithoutWalls(t *testing.T) {
	for _, s := range []*Sandbox{New(Config{Group: testGroup(), Mode: ModeNone}), New(Config{Group: testGroup(), Mode: ModeNone, CopyScratch: true})} {
		spec, tree := scratched(t, newSandbox(), "echo two >>second; cat sub/deep/file; pwd")
		spec.Dir = View(tree + ".scratch")
		if got := must(t, s, spec); !strings.HasPrefix(got, "one\n") {
			t.Errorf("it read %q", got)
		}
		if b, err := os.ReadFile(filepath.Join(tree, "second")); err != nil || string(b) != "one\n" {
			t.Errorf("%q %v", b, err)
		}
	}
}
