package main

import (
	"context"
	"encoding/json"
	"fmt"

	"slipway/deploy"
	"slipway/deploy/control"
)

// What a running server answers about its audit log, to admins over SSH and to auditCommand.

func (c *commands) auditHead(_ context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("audit head").parse(args, 0, 0); err != nil {
		return err
	}
	if err := control.NeedAdmin(who); err != nil {
		return err
	}
	fmt.Fprintln(std.out, c.recorder.Head())
	return nil
}

func (c *commands) auditVerify(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if err := control.NeedAdmin(who); err != nil {
		return err
	}
	known, err := knownHeads(args, false, std.in)
	if err != nil {
		return err
	}
	known = append(known, c.recorder.Head())
	report, err := verifyAll(ctx, c.layout, known)
	if err != nil {
		return err
	}
	if err := c.control.Record(ctx, who, verifiedEvent(report, len(known))); err != nil {
		return err
	}
	return tellReport(report, std)
}

// auditVerified records a verification that the operator's own process has made. It is in no manual.
func (c *commands) auditVerified(ctx context.Context, who deploy.Caller, args []string, _ stdio) error {
	var e deploy.Event
	if who.User != "" || len(args) != 1 || json.Unmarshal([]byte(args[0]), &e) != nil || e.Type != deploy.EventAuditVerified {
		return newFlags("audit").misused("there is no audit verified")
	}
	return c.control.Record(ctx, who, deploy.Event{Type: e.Type, Outcome: e.Outcome, Reason: e.Reason, Data: e.Data})
}

func (c *commands) auditExport(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if err := control.NeedAdmin(who); err != nil {
		return err
	}
	return auditExport(ctx, c.layout, args, std)
}

func (c *commands) auditRebuild(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("audit rebuild").parse(args, 0, 0); err != nil {
		return err
	}
	if err := control.NeedAdmin(who); err != nil {
		return err
	}
	return rebuild(ctx, c.recorder, c.store, std.out)
}
