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
	"slipway/deploy/control"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/store"
	"slipway/deploy/variables"
)

// commands are what people ask a running server for, over SSH or its own socket: words and flags over
// [control.Control], which knows their rights.
type commands struct {
	layout    deploy.Layout
	store     *store.Store
	recorder  *audit.Recorder
	control   *control.Control
	engine    *release.Local // for what instances say
	pipeline  *pipeline.Pipeline
	variables *variables.Store
	addresses pipeline.Addresses
	web       string                      // where people reach the pages
	sandbox   func(context.Context) error // what is missing to build; nil for nothing
	patient   func() *patient             // the server as its doctor sees it
	shutdown  func()                      // ends the server, its router and all instances
	startedAt time.Time
	logger    *slog.Logger
}

// command is one word of the manual, help/WORD.txt.
type command struct {
	name string // of one or two words
	run  func(*commands, context.Context, deploy.Caller, []string, stdio) error
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
		{"login", (*commands).login},
		{"token create", (*commands).tokenCreate},
		{"token list", (*commands).tokenList},
		{"token revoke", (*commands).tokenRevoke},
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
		{"stats", (*commands).stats},
		{"regression", (*commands).regression},
		{"audit head", (*commands).auditHead},
		{"audit verify", (*commands).auditVerify},
		{"audit verified", (*commands).auditVerified},
		{"audit export", (*commands).auditExport},
		{"audit rebuild", (*commands).auditRebuild},
		{"shutdown", (*commands).stop},
	}
}

// run runs a command line and returns its exit status.
func (c *commands) run(ctx context.Context, who deploy.Caller, args []string, std stdio) int {
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
	c.logger.Error("running a command", "command", loggable(args), "user", who.Actor.Name, "error", err)
	if who.User == "" {
		fmt.Fprintf(std.err, "slipway: internal error: %v\n", err)
	} else {
		fmt.Fprintln(std.err, "slipway: internal error; the server's log has the rest")
	}
	return exitFailed
}

func (c *commands) dispatch(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if len(args) == 0 {
		return help(nil, std)
	}
	if page, ok := helpAsked(args); ok {
		return help(page, std)
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

// appNamed reads the name of an app.
func appNamed(s string) (deploy.AppName, error) {
	name, err := deploy.ParseAppName(s)
	if err != nil {
		return "", usageError(err.Error())
	}
	return name, nil
}

// userNamed reads the name of a user.
func userNamed(s string) (deploy.UserName, error) {
	name, err := deploy.ParseUserName(s)
	if err != nil {
		return "", usageError(err.Error())
	}
	return name, nil
}

// numbered reads the number of a deployment.
func numbered(s string) (deploy.Number, error) {
	n, err := deploy.ParseNumber(s)
	if err != nil {
		return 0, usageError(err.Error())
	}
	return n, nil
}
