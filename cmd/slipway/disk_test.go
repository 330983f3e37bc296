package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// Commands of scripts that are about a full disk:
//
//	small-disk MIB INODES      gives the data directory an ext4 of its own of that size
//	push-into-little KIB       pushes with ever more room, in steps of KIB, until there is enough
//	push-full STAGE [inodes]   pushes, and takes all room while STAGE runs (build, test, release, monitor), or
//	                           all inodes
//
// The last two say "full" for a push that was refused because the disk is full, and "accepted". They
// check after each push that the app answers with what was accepted last, and that the same push is
// accepted when there is room.

const filler = "filler"

func smallDisk(ts *testscript.TestScript, _ bool, args []string) {
	s := theServer(ts)
	data := s.env.Getenv("DATA")
	if len(args) != 2 {
		ts.Fatalf("usage: small-disk MIB INODES")
	}
	ts.Check(os.MkdirAll(data, 0o711))
	image := filepath.Join(s.env.WorkDir, "disk.img")
	for _, command := range []string{
		"truncate -s " + args[0] + "M " + image, "mkfs.ext4 -q -m 0 -N " + args[1] + " " + image,
		"mount -o loop " + image + " " + data, "chmod 711 " + data,
	} {
		cmd := exec.Command("sh", "-c", "PATH=$PATH:/usr/sbin:/sbin "+command)
		if out, err := cmd.CombinedOutput(); err != nil {
			ts.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	ts.Defer(func() {
		unfill(data)
		s.cleanUp()
		if err := unix.Unmount(data, unix.MNT_DETACH); err != nil {
			ts.Logf("unmounting: %v", err)
		}
	})
}

// fillAllBut leaves so many bytes of a file system free.
func fillAllBut(dir string, leave int64) error {
	f, err := os.Create(filepath.Join(dir, filler))
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	size := int64(st.Bavail)*st.Bsize - leave
	if size <= 0 {
		return fmt.Errorf("%d bytes are to be left, and fewer are free", leave)
	}
	// What others write meanwhile may leave less.
	for ; size > 0; size -= 4 << 10 {
		if err = syscall.Fallocate(int(f.Fd()), 0, 0, size); !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return err
}

func unfill(dir string) {
	_ = os.Remove(filepath.Join(dir, filler))
	_ = os.RemoveAll(filepath.Join(dir, filler+"s"))
}

func pushIntoLittle(ts *testscript.TestScript, _ bool, args []string) {
	data := theServer(ts).env.Getenv("DATA")
	step, err := strconv.ParseInt(args[0], 10, 32)
	ts.Check(err)
	for n, left := 0, int64(0); ; n, left = n+1, left+step<<10 {
		now := fmt.Sprintf("little-%d", n)
		commit(ts, now, "")
		ts.Check(fillAllBut(data, left))
		accepted := judge(ts, now, startPush(ts)())
		unfill(data)
		if accepted {
			return
		}
		repush(ts, now)
	}
}

func pushFull(ts *testscript.TestScript, _ bool, args []string) {
	data := theServer(ts).env.Getenv("DATA")
	now, take := "full-in-"+args[0], func() error { return fillAllBut(data, 0) }
	if len(args) > 1 {
		now, take = "no-inode-in-"+args[0], func() error { return takeInodes(data, 0) }
	}
	if !pushHeld(ts, now, args[0], take) {
		commit(ts, now+"-again", "")
		repush(ts, now+"-again")
	}
}

// pushHeld pushes, and takes room while a stage runs.
func pushHeld(ts *testscript.TestScript, now, stage string, take func() error) (accepted bool) {
	data := theServer(ts).env.Getenv("DATA")
	ready := filepath.Join(data, "ready")
	ts.Check(os.WriteFile(ready, nil, 0o644))
	commit(ts, now, stage)
	wait := startPush(ts)
	held := stage != "monitor" // its bake time is long enough
	ts.Check(until(20*time.Second, func() error {
		logs, _ := filepath.Glob(filepath.Join(data, "deployments", "*", "transcript.log"))
		for _, name := range logs {
			if b, err := os.ReadFile(name); !held && err == nil && bytes.Contains(b, []byte(now)) && bytes.Contains(b, []byte("✓ switch")) {
				return nil
			}
		}
		logs, _ = filepath.Glob(filepath.Join(data, "deployments", "*", "*.log"))
		for _, name := range logs {
			if b, err := os.ReadFile(name); held && err == nil && bytes.Contains(b, []byte("holding "+now+"\n")) {
				return nil
			}
		}
		return fmt.Errorf("the push does not get to stage %s", stage)
	}))
	ts.Check(take())
	folder := map[bool]string{true: "storage", false: "cache/home"}[stage == "release"]
	ts.Check(os.Rename(ready, filepath.Join(data, "apps/shop", folder, "go-"+now)))
	accepted = judge(ts, now, wait())
	unfill(data)
	return accepted
}

// commit makes the shop say text, and hold in a stage until its cache, or the app's storage, has a file
// named go-TEXT.
func commit(ts *testscript.TestScript, text, hold string) {
	ts.Check(os.WriteFile(ts.MkAbs("index.html"), []byte(text+"\n"), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("hold"), []byte(hold+"\n"), 0o644))
	ts.Check(ts.Exec("git", "commit", "-qam", text))
}

// startPush begins a push; the function returned waits for its end and gives what the pusher read.
func startPush(ts *testscript.TestScript) func() string {
	s := theServer(ts)
	var said bytes.Buffer
	cmd := exec.Command("git", "push", "production", "main")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), s.env.Vars, &said, &said
	ts.Check(cmd.Start())
	return func() string {
		_ = cmd.Wait()
		return said.String()
	}
}

// judge checks what a push made of the server whose disk is full.
func judge(ts *testscript.TestScript, text, said string) (accepted bool) {
	s := theServer(ts)
	ts.Logf("%s:\n%s", text, said)
	accepted = strings.Contains(said, "accepted: ")
	clear := strings.Contains(said, "the server's disk is full") || strings.Contains(said, "No space left on device") || strings.Contains(said, "Out of diskspace")
	if !accepted && !clear {
		log, _ := os.ReadFile(filepath.Join(s.env.WorkDir, "server.log"))
		ts.Fatalf("%s: it is not said that the disk is full:\n%s\n%s", text, said, log[max(0, len(log)-4000):])
	}
	if strings.Contains(said, s.env.Getenv("DATA")) {
		ts.Fatalf("%s: a path of the server is shown:\n%s", text, said)
	}
	_, answer, err := s.ask("shop", "/")
	ts.Check(err)
	if strings.Contains(answer, text+"\n") != accepted {
		ts.Fatalf("%s: accepted: %v, and the app answers %q", text, accepted, answer)
	}
	word := map[bool]string{true: "accepted", false: "full"}[accepted]
	fmt.Fprintf(ts.Stdout(), "%s %s\n", text, word)
	return accepted
}

// repush pushes what the disk had no room for, with room.
func repush(ts *testscript.TestScript, text string) {
	if said := startPush(ts)(); !judge(ts, text, said) {
		ts.Fatalf("with room it is not accepted:\n%s", said)
	}
}
