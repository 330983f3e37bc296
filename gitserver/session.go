package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy"
)

// session is one command of a client.
type session struct {
	server  *Server
	channel ssh.Session
	ctx     context.Context // ends with the channel
	end     context.CancelCauseFunc
	base    context.Context // ends when the server shuts down
	caller  Caller
	errOut  io.Writer // for people
}

// handle serves a session to its end and passes the exit status on. It is a session until the client has that:
// a server that is shutting down would close the connection before.
func (s *Server) handle(channel ssh.Session) {
	ctx := channel.Context().(*sessionContext)
	entered := s.enterSession()
	if entered {
		defer s.sessions.Done()
	}
	status := 1
	defer func() {
		if p := recover(); p != nil {
			s.logger.Error("panic in a session", "panic", p, "stack", string(debug.Stack()))
			fmt.Fprintln(channel.Stderr(), "slipway: internal error")
		}
		if channel.Exit(status) == nil {
			ctx.farewell()
		}
	}()
	if !entered {
		fmt.Fprintln(channel.Stderr(), "slipway: "+errShutdown.Error())
		return
	}
	one := &session{server: s, channel: channel, ctx: ctx.own, end: ctx.end, base: ctx.Value(connectionKey{}).(*connection).base, errOut: newTerminal(channel.Stderr())}
	if one.identify() {
		status = one.run()
	}
}

// identify finds out who this is, anew for each session: a connection can be older than the removal
// of its key.
func (s *session) identify() bool {
	conn, ok := s.channel.Context().Value(ssh.ContextKeyConn).(*gossh.ServerConn)
	if !ok || conn.Permissions == nil || conn.Permissions.Extensions[fingerprintExtension] == "" {
		s.say("slipway: not signed in")
		return false
	}
	fingerprint := conn.Permissions.Extensions[fingerprintExtension]
	user, err := s.server.config.Directory.UserByKey(s.ctx, fingerprint)
	if errors.Is(err, deploy.ErrNotFound) {
		s.say("slipway: this key (%s) is not registered any more", fingerprint)
		return false
	}
	if err != nil {
		s.fault("looking up a key", err)
		return false
	}
	c := s.channel.Context().Value(connectionKey{}).(*connection)
	s.caller = Caller{User: user, Pusher: deploy.Pusher{User: user.Name, Admin: user.Role == deploy.RoleAdmin, Fingerprint: fingerprint, IP: c.ip}}
	return true
}

// run does what the command line says and returns the exit status.
func (s *session) run() int {
	line, err := parseExec(s.channel.RawCommand())
	if err != nil {
		s.say("slipway: %v", err)
		return 2
	}
	if line.service == "" {
		if len(line.argv) == 0 {
			line.argv = []string{"help"}
		}
		out := newTerminal(s.channel)
		return s.server.config.Commands.Run(s.ctx, s.caller, line.argv, Stdio{In: s.channel, Out: out, Err: s.errOut})
	}
	app, role, ok := s.find(line.path)
	if !ok {
		return s.refuse("repository not found")
	}
	if line.service != receivePack {
		return s.upload(line.service, app)
	}
	if !deploy.Allows(s.caller.User.Role, role, deploy.RightPush) {
		return s.turnAway(app, deploy.Reject(deploy.CodeForbidden, "%[1]s may read %[2]s, not push to it; ask an admin to run: slipway app grant %[2]s %[1]s developer", s.caller.User.Name, app.Name))
	}
	if rejection, full := s.full(app); full {
		return s.turnAway(app, rejection)
	}
	return s.receive(app)
}

// full says why the disk has no room for a push.
func (s *session) full(app deploy.App) (*deploy.Rejection, bool) {
	if s.server.config.Room == nil {
		return nil, false
	}
	return deploy.AsRejection(s.server.config.Room(app.Name))
}

// find looks up the app at a path. To one who may not read it, it does not exist.
func (s *session) find(path string) (deploy.App, deploy.Role, bool) {
	name, err := parsePath(path)
	if err != nil {
		return deploy.App{}, "", false
	}
	app, role, err := s.server.config.Directory.Access(s.ctx, s.caller.User.Name, name)
	if err != nil {
		if !errors.Is(err, deploy.ErrNotFound) {
			s.fault("looking up an app", err)
		}
		return deploy.App{}, "", false
	}
	if !deploy.Allows(s.caller.User.Role, role, deploy.RightRead) || !s.server.config.Repos.Exists(app.Name) {
		return deploy.App{}, "", false
	}
	return app, role, true
}

// say prints a line for the person.
func (s *session) say(format string, args ...any) {
	fmt.Fprintln(s.errOut, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// fault logs what went wrong on our side, and says only that.
func (s *session) fault(doing string, err error) {
	if s.ctx.Err() != nil {
		return // the client has gone, so it fails
	}
	s.server.logger.Error(doing, "user", s.caller.User.Name, "error", err)
	s.say("slipway: internal error")
}
