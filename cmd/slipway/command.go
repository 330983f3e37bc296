package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/checkout"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/store"
	"slipway/deploy/traffic"
	"slipway/deploy/variables"
	"slipway/gitserver/repo"
)

// commands are what people ask a running server for, over SSH or its own socket. One person's rights
// are the same on both ways.
type commands struct {
	layout    deploy.Layout
	store     *store.Store
	recorder  *audit.Recorder
	repos     *repo.Store
	engine    *release.Local
	pipeline  *pipeline.Pipeline
	variables *variables.Store
	trees     *checkout.Trees
	router    *traffic.Client
	addresses pipeline.Addresses
	sandbox   func(context.Context) error // what is missing to build; nil for nothing
	patient   func() *patient             // the server as its doctor sees it
	shutdown  func()                      // ends the server, its router and all instances
	startedAt time.Time
	logger    *slog.Logger
}

// caller is who runs a command.
type caller struct {
	actor deploy.Actor
	user  deploy.UserName // "" for the operator at the server's own socket
	key   deploy.Pusher   // with which the user signed in
	admin bool
}

// command is one word of the manual, help/WORD.txt.
type command struct {
	name string // of one or two words
	run  func(*commands, context.Context, caller, []string, stdio) error
}

// table lists every command that runs in the server.
func table() []command {
	return []command{
		{"status", (*commands).status},
		{"user add", (*commands).userAdd},
		{"user list", (*commands).userList},
		{"user remove", (*commands).userRemove},
		{"key add", (*commands).keyAdd},
		{"key list", (*commands).keyList},
		{"key remove", (*commands).keyRemove},
		{"app create", (*commands).appCreate},
		{"app list", (*commands).appList},
		{"app remove", (*commands).appRemove},
		{"app grant", (*commands).appGrant},
		{"deployments", (*commands).deployments},
		{"log", (*commands).log},
		{"watch", (*commands).watch},
		{"cancel", (*commands).cancel},
		{"rollback", (*commands).rollback},
		{"redeploy", (*commands).redeploy},
		{"freeze", (*commands).freeze},
		{"unfreeze", (*commands).unfreeze},
		{"config set", (*commands).configSet},
		{"config unset", (*commands).configUnset},
		{"config list", (*commands).configList},
		{"run", (*commands).runOne},
		{"logs", (*commands).logs},
		{"restart", (*commands).restart},
		{"doctor", (*commands).doctor},
		{"audit head", (*commands).auditHead},
		{"audit verify", (*commands).auditVerify},
		{"audit verified", (*commands).auditVerified},
		{"audit export", (*commands).auditExport},
		{"audit rebuild", (*commands).auditRebuild},
		{"shutdown", (*commands).stop},
	}
}

// run runs a command line and returns its exit status.
func (c *commands) run(ctx context.Context, who caller, args []string, std stdio) int {
	err := c.dispatch(ctx, who, args, std)
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(std.err, "slipway: "+usage.Error())
		return exitUsage
	}
	if r, ok := deploy.AsRejection(err); ok {
		fmt.Fprintln(std.err, "slipway: "+r.Error())
		return exitFailed
	}
	if ctx.Err() != nil {
		return exitFailed
	}
	c.logger.Error("running a command", "command", loggable(args), "user", who.actor.Name, "error", err)
	if who.user == "" {
		fmt.Fprintf(std.err, "slipway: internal error: %v\n", err)
	} else {
		fmt.Fprintln(std.err, "slipway: internal error; the server's log has the rest")
	}
	return exitFailed
}

func (c *commands) dispatch(ctx context.Context, who caller, args []string, std stdio) error {
	if len(args) == 0 || isHelp(args[0]) {
		return help(nil, std)
	}
	if args[0] == "help" {
		return help(args[1:], std)
	}
	for _, words := range []int{2, 1} {
		if len(args) < words {
			continue
		}
		name := strings.Join(args[:words], " ")
		for _, cmd := range table() {
			if cmd.name == name {
				return cmd.run(c, ctx, who, args[words:], std)
			}
		}
	}
	if helpText(args[0]) == "" {
		return usageError(unknownCommand(args[0]))
	}
	usage, _, _ := strings.Cut(helpText(args[0]), "\n\n")
	return usageError("that is not how it is used:\n" + usage)
}

// needAdmin refuses who is not an admin.
func (w caller) needAdmin() error {
	if w.admin {
		return nil
	}
	return deploy.Reject(deploy.CodeForbidden, "only an admin may do this").WithHint("ask an admin of this server")
}

// app returns an app by name if the caller has the right to it. To whom may not read it, it does not
// exist.
func (c *commands) app(ctx context.Context, who caller, name string, right deploy.Right) (deploy.App, error) {
	parsed, err := deploy.ParseAppName(name)
	if err != nil {
		return deploy.App{}, usageError(err.Error())
	}
	missing := deploy.Reject(deploy.CodeNotFound, "there is no app %q", parsed).WithHint("slipway app list")
	app, err := c.store.App(ctx, parsed)
	if errors.Is(err, deploy.ErrNotFound) {
		return app, missing
	}
	if err != nil || who.admin {
		return app, err
	}
	_, grant, err := c.store.Access(ctx, who.user, parsed)
	if err != nil && !errors.Is(err, deploy.ErrNotFound) {
		return app, err
	}
	if !deploy.Allows("", grant, deploy.RightRead) {
		return app, missing
	}
	if !deploy.Allows("", grant, right) {
		return app, deploy.Reject(deploy.CodeForbidden, "your role on %s is %s, which does not allow this", parsed, grant)
	}
	return app, nil
}

// visible returns the apps that the caller may read.
func (c *commands) visible(ctx context.Context, who caller) ([]deploy.App, error) {
	if who.admin {
		return c.store.Apps(ctx)
	}
	return c.store.AppsVisible(ctx, who.user)
}

// record writes what a caller does.
func (c *commands) record(ctx context.Context, who caller, e deploy.Event) error {
	e.Actor = who.actor
	if _, err := c.recorder.Record(ctx, e); err != nil {
		return fmt.Errorf("recording %s: %w", e.Type, err)
	}
	return nil
}
