package gitserver

import (
	"context"
	"regexp"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// channel serves a session channel. The library's session lives in a context that ends with the
// connection, keeps every environment variable, and grants agents: so it gets a context that ends
// with the channel, and only the requests that mean something here: running a command, and git's wish
// for a protocol version, once.
func (s *Server) channel(server *ssh.Server, conn *gossh.ServerConn, opened gossh.NewChannel, ctx ssh.Context) {
	defer func() {
		if p := recover(); p != nil {
			s.logger.Error("panic in a channel", "panic", p)
		}
	}()
	c := ctx.Value(connectionKey{}).(*connection)
	if c.base.Err() != nil {
		_ = opened.Reject(gossh.ConnectionFailed, errShutdown.Error())
		return
	}
	if !c.openSession() {
		_ = opened.Reject(gossh.ResourceShortage, "too many sessions in this connection")
		return
	}
	defer c.closeSession()
	c.keepAlive.Do(func() { go c.watch(conn) })

	own, end := context.WithCancelCause(c.base)
	defer end(errClientGone)
	one := &sessionContext{Context: ctx, own: own, end: end, closed: make(chan struct{})}
	ssh.DefaultSessionHandler(server, conn, &filteredChannel{NewChannel: opened, gone: one.gone}, one)
}

// sessionContext is the library's context, but ends with the channel.
type sessionContext struct {
	ssh.Context
	own    context.Context
	end    context.CancelCauseFunc
	closed chan struct{} // when the client has closed the channel
}

// gone is called once, when the client has closed the channel.
func (c *sessionContext) gone() {
	c.end(errClientGone)
	close(c.closed)
}

// farewellTime is how long a client may take to answer the end of a session, which it does by itself.
const farewellTime = 2 * time.Second

// farewell waits until the client has read how its session ended: it closes the channel then.
func (c *sessionContext) farewell() {
	select {
	case <-c.closed:
	case <-time.After(farewellTime):
	}
}

func (c *sessionContext) Deadline() (time.Time, bool) { return c.own.Deadline() }
func (c *sessionContext) Done() <-chan struct{}       { return c.own.Done() }
func (c *sessionContext) Err() error                  { return c.own.Err() }

// filteredChannel answers requests that are refused here, and tells when the channel is closed.
type filteredChannel struct {
	gossh.NewChannel
	gone func()
}

// Accept implements [gossh.NewChannel].
func (f *filteredChannel) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	channel, requests, err := f.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	passed := make(chan *gossh.Request)
	go func() {
		defer close(passed)
		defer f.gone()
		versions := 0
		for request := range requests {
			switch {
			case request.Type == "exec" || request.Type == "shell":
				passed <- request
			case request.Type == "env" && isProtocol(request.Payload) && versions == 0:
				versions++
				passed <- request
			default:
				_ = request.Reply(false, nil)
			}
		}
	}()
	return channel, passed, nil
}

const protocolVariable = "GIT_PROTOCOL"

var protocolPattern = regexp.MustCompile(`^version=[0-2]$`)

// isProtocol tells whether a request for an environment variable is git's wish for a protocol version.
func isProtocol(payload []byte) bool {
	var variable struct{ Name, Value string }
	return gossh.Unmarshal(payload, &variable) == nil && variable.Name == protocolVariable && protocolPattern.MatchString(variable.Value)
}
