package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// More commands of scripts that are about a full disk:
//
//	push-through N             pushes N revisions; one that is refused because the disk is full is pushed again
//	                           until the server has made room by itself
//	push-into-inodes MOST      pushes with ever more inodes from its pack on, up to MOST: too few for any push
//	push-with-inodes STAGE STEP  pushes with ever more inodes, in steps of STEP, from STAGE on, until they are enough
//	push-beside-clearing APP N  builds a revision while a push to another app is refused, and the server makes room
//	                           by itself: it takes the logs of deployment N away, and nothing of the cache
//	leave KIB                  takes all bytes but so many
//	leave-inodes N             takes all inodes but so many
//	give-back                  gives them back
//	pruned N                   waits until the shop has no more than N releases: a push has its answer before that

// clearingTime is how long a server may take to make room.
const clearingTime = time.Minute

func pushThrough(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var refused int
	var highest int64
	for i := range n {
		now := fmt.Sprintf("through-%d", i)
		commit(ts, now, "")
		ts.Check(until(clearingTime, func() error {
			said := startPush(ts)()
			highest = max(highest, blocksOf(theServer(ts).env.Getenv("DATA")))
			if judge(ts, now, said) {
				return nil
			}
			refused++
			return errors.New(said)
		}))
	}
	fmt.Fprintf(ts.Stdout(), "%d were refused at first; the disk held %d MiB at most\n", refused, highest>>20)
}

func pushIntoInodes(ts *testscript.TestScript, _ bool, args []string) {
	s := theServer(ts)
	most, err := strconv.ParseInt(args[0], 10, 32)
	ts.Check(err)
	data := s.env.Getenv("DATA")
	for left := range most + 1 {
		now := fmt.Sprintf("inodes-%d", left)
		commit(ts, now, "")
		// By then the server has found enough, and git has not sent anything.
		hook, ready, sent := ts.MkAbs(".git/hooks/pre-push"), ts.MkAbs(".git/ready"), ts.MkAbs(".git/go")
		ts.Check(os.WriteFile(hook, []byte("#!/bin/sh\ntouch .git/ready; while [ ! -e .git/go ]; do sleep 0.02; done\n"), 0o755))
		wait := startPush(ts)
		ts.Check(until(clearingTime, func() error { _, err := os.Stat(ready); return err }))
		ts.Check(takeInodes(data, left))
		ts.Check(os.WriteFile(sent, nil, 0o644))
		said := wait()
		unfill(data)
		for _, name := range []string{hook, ready, sent} {
			ts.Check(os.Remove(name))
		}
		if judge(ts, now, said) {
			ts.Fatalf("a push was accepted that had %d inodes", left)
		}
	}
	repush(ts, fmt.Sprintf("inodes-%d", most))
}

func pushWithInodes(ts *testscript.TestScript, _ bool, args []string) {
	data := theServer(ts).env.Getenv("DATA")
	step, err := strconv.ParseInt(args[1], 10, 32)
	ts.Check(err)
	for left := int64(0); ; left += step {
		now := fmt.Sprintf("%s-with-%d", args[0], left)
		if pushHeld(ts, now, args[0], func() error { return takeInodes(data, left) }) {
			return
		}
	}
}

func pushBesideClearing(ts *testscript.TestScript, _ bool, args []string) {
	s := theServer(ts)
	data, now := s.env.Getenv("DATA"), "beside-clearing"
	if !pushHeld(ts, now, "build", func() error {
		defer unfill(data)
		if err := fillAllBut(data, 2<<20); err != nil {
			return err
		}
		cmd := exec.Command("git", "push", "ssh://alice/"+args[0], "main")
		cmd.Dir, cmd.Env = ts.MkAbs("."), s.env.Vars
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "the server's disk is full") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return until(clearingTime, func() error {
			if _, err := os.Stat(filepath.Join(data, "deployments", args[1])); err == nil {
				return errors.New("the logs of deployment " + args[1] + " are still there")
			}
			_, err := os.Stat(filepath.Join(data, "apps/shop/cache/home/bad")) // beyond what a cache may hold
			return err
		})
	}) {
		ts.Fatalf("the deployment that was built meanwhile is not accepted")
	}
}

func leaveBytes(ts *testscript.TestScript, _ bool, args []string) {
	kib, err := strconv.ParseInt(args[0], 10, 32)
	ts.Check(err)
	ts.Check(fillAllBut(theServer(ts).env.Getenv("DATA"), kib<<10))
}

func leaveInodes(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[0], 10, 32)
	ts.Check(err)
	ts.Check(takeInodes(theServer(ts).env.Getenv("DATA"), n))
}

func giveBack(ts *testscript.TestScript, _ bool, _ []string) {
	unfill(theServer(ts).env.Getenv("DATA"))
}

func pruned(ts *testscript.TestScript, _ bool, args []string) {
	most, err := strconv.Atoi(args[0])
	ts.Check(err)
	releases := filepath.Join(theServer(ts).env.Getenv("DATA"), "apps/shop/releases")
	ts.Check(until(clearingTime, func() error {
		left, err := os.ReadDir(releases)
		if err == nil && len(left) > most {
			err = fmt.Errorf("there still are %v", left)
		}
		return err
	}))
}

// takeInodes leaves so many inodes of a file system, and no more, whatever others give back meanwhile.
func takeInodes(dir string, leave int64) error {
	fillers := filepath.Join(dir, filler+"s")
	if err := os.Mkdir(fillers, 0o700); err != nil {
		return err
	}
	for i := 0; ; i++ {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil || leave > 0 && int64(st.Ffree) <= leave {
			return err
		}
		f, err := os.Create(filepath.Join(fillers, strconv.Itoa(i)))
		if errors.Is(err, unix.ENOSPC) {
			return nil
		}
		if err != nil {
			return err
		}
		f.Close()
	}
}
