package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// attack is something that a person with a key, or a stranger, can do to a server.
type attack struct {
	name string
	do   func(*clone) (answer string)
	want string // is in the answer
	most use
}

// use is what something takes of the machine at most, in MiB: of the server's memory above what it was, of
// the memory of the largest git that works for it, and of the disk of the app's repository and work trees.
type use struct{ server, git, disk int }

// attacks is the list of them, against a server that takes pushes of 10 MiB, trees of 64 MiB, and gits of
// 512 MiB.
func attacks() []attack {
	const cutShort = "unpack index-pack abnormal exit"
	return []attack{
		// On the way in.
		{"services and names that are none", askOddly, "", use{16, 16, 0}},
		{"thousands of environment requests", floodWithRequests, "shop  serves", use{24, 16, 0}},
		{"a thousand who never sign in", floodWithStrangers, "accepted: ", use{48, 16, 1}},

		// The pack.
		{"a pack cut in the middle", pushHalf, cutShort, use{16, 16, 1}},
		{"a pack cut, and its client gone", pushHalfAndLeave, "", use{16, 16, 1}},
		{"a pack with a wrong byte", pushBroken, cutShort, use{16, 16, 1}},
		{"24 MiB by git against 10", pushTooLarge, "a push may bring 10 MiB at most\npush in parts, or ask an admin to raise max_push", use{24, 64, 11}},
		{"2 GiB against 10 MiB", pushFarTooLarge, "a push may bring 10 MiB at most", use{24, 64, 11}},
		{"a delta that makes 4 GiB of 16 MiB", pushDelta, "fatal: Out of memory", use{16, 64, 1}},
		{"a million refs", pushRefs, "slipway: a push may move 20000 refs at most: push in parts", use{24, 64, 1}},

		// The tree.
		{"a file of 100 MiB in 100 KiB", pushZeros, "rejected: the tree's files have more than 64 MiB", use{16, 64, 1}},
		{"ten billion files in a dozen objects", pushManyFiles, "rejected: the tree holds more than 1000000 files", use{16, 160, 1}},
		{"folders three thousand deep", pushDeep, "rejected: the tree holds a path that cannot be checked out", use{16, 64, 1}},
		{"a manifest of 10 MiB", pushManifest, "refused: slipway.toml has 10485760 bytes, more than the limit of 65536", use{24, 64, 1}},
		{"a manifest that is a link out of the tree", pushLinkedManifest, "slipway.toml is a symbolic link", use{16, 16, 1}},
		{"links out of the tree", pushLinks, "No such file", use{16, 16, 1}},
		{"the name ..", pushTree("..", "evil"), "hasDotdot: contains '..'", use{16, 16, 1}},
		{"the name ../evil", pushTree("../evil"), "fullPathname: contains full pathnames", use{16, 16, 1}},
		{"the name .git", pushTree(".git", "config"), "hasDotgit: contains '.git'", use{16, 16, 1}},
		{"the name GIT~1", pushTree("GIT~1", "config"), "hasDotgit: contains '.git'", use{16, 16, 1}},
		{"a submodule", pushSubmodule, "rejected: submodule at path vendor/lib is not supported: vendor it", use{16, 16, 1}},
		{"a pointer of Git LFS", pushPointer, "picture.png is a Git LFS pointer: LFS is not supported, the build gets the pointer and not the file", use{16, 16, 1}},

		// What other people read.
		{"sequences that terminals obey", playTricks, "test unit failed", use{16, 16, 1}},
	}
}

// TestAbuse has each attack refused with a clear answer, the machine not used beyond its bounds, nothing
// left behind, and the next push work.
func TestAbuse(t *testing.T) {
	t.Parallel()
	s := newScene(t, impatient+"max_push = \"10MiB\"\nmemory = \"512MiB\"\ndisk = \"64MiB\"\n")
	s.repository("alice", "shop").accepted()
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			s := s.in(t)
			c := s.repository("alice", "shop")
			c.follow()
			var answer string
			used := s.measured("shop", func() { answer = a.do(c) })
			t.Logf("it took %+v MiB", used)
			if used.server > a.most.server || used.git > a.most.git || used.disk > a.most.disk {
				t.Errorf("it took %+v MiB, and may take %+v", used, a.most)
			}
			s.contains(answer, a.want)
			c.goesOn()
		})
	}
}

// measured watches what an app takes of the machine while f runs.
func (s *scene) measured(app string, f func()) use {
	s.Helper()
	data := s.env.Getenv("DATA")
	disk := func() int {
		return diskOf(filepath.Join(data, "repos", app+".git"), filepath.Join(data, "apps", app, "work"))
	}
	before, most := disk(), use{}
	look := func() {
		most.disk = max(most.disk, disk()-before)
		for pid, line := range processes() {
			in, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
			if strings.Contains(line, filepath.Join(data, "repos")) || strings.HasPrefix(in, filepath.Join(data, "repos")) {
				most.git = max(most.git, processMemory(pid, "VmHWM")>>10)
			}
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-stop:
				return
			}
		}
	}()
	most.server = s.growth(f)
	close(stop)
	<-stopped
	look()
	return most
}

// diskOf is what folders take, in MiB.
func diskOf(dirs ...string) int {
	var sum int64
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err == nil {
				if info, err := e.Info(); err == nil {
					sum += info.Size()
				}
			}
			return nil
		})
	}
	return int((sum + 1<<20 - 1) >> 20)
}
