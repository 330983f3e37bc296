package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"slipway/deploy"
	"slipway/deploy/audit"
)

// oldAudit is the command of scripts that begins the data directory's audit log so many days ago, with
// three events a day: old-audit DAYS.
func oldAudit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: old-audit DAYS")
	}
	days, err := strconv.Atoi(args[0])
	ts.Check(err)
	now := time.Now().AddDate(0, 0, -days)
	dir := filepath.Join(theServer(ts).env.Getenv("DATA"), "audit")
	log, err := audit.Open(dir, audit.Config{Now: func() time.Time { return now }})
	ts.Check(err)
	defer log.Close()
	for ; days > 0; days-- {
		for range 3 {
			e := deploy.Event{Type: deploy.EventServerStarted, Actor: deploy.ServerActor("serve")}
			_, err := log.Append(context.Background(), e.WithData(deploy.ServerData{Version: "old"}))
			ts.Check(err)
		}
		now = now.AddDate(0, 0, 1)
	}
}

// smallAudit gives the audit log a file system of its own of so many KiB: small-audit KIB.
func smallAudit(ts *testscript.TestScript, _ bool, args []string) {
	s := theServer(ts)
	if len(args) != 1 {
		ts.Fatalf("usage: small-audit KIB")
	}
	dir := filepath.Join(s.env.Getenv("DATA"), "audit")
	ts.Check(os.MkdirAll(filepath.Dir(dir), 0o711))
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+args[0]+"k"))
	ts.Defer(func() {
		unfill(dir)
		s.cleanUp()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			ts.Logf("unmounting: %v", err)
		}
	})
}

// fillAudit takes all room from the audit log, so that not even the shortest event fits.
func fillAudit(ts *testscript.TestScript, _ bool, _ []string) {
	s := theServer(ts)
	ts.Check(fillAllBut(filepath.Join(s.env.Getenv("DATA"), "audit"), 0))
	for range 100 { // the page that the file ends in has room for a few
		if s.command("unfreeze", "blog").Run() != nil {
			return
		}
	}
	ts.Fatalf("the audit log still takes events")
}

// roomForAudit gives the room back.
func roomForAudit(ts *testscript.TestScript, _ bool, _ []string) {
	unfill(filepath.Join(theServer(ts).env.Getenv("DATA"), "audit"))
}
