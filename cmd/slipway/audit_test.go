package main

import (
	"context"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

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
