package gitserver

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// connection is a client's TCP connection, from the first byte on.
type connection struct {
	net.Conn
	server *Server
	base   context.Context // ends when the server shuts down
	ip     string
	raw    syscall.RawConn // nil if it is no TCP connection

	keepAlive sync.Once
	guest     bool // is the server's guests', and guarded by them

	mu       sync.Mutex
	preAuth  gossh.ServerPreAuthConn
	signedIn bool
	tried    bool     // to sign in
	offered  string   // fingerprint of the registered key that was offered last
	unknown  []string // fingerprints of the keys that were offered in vain
	told     bool     // the client has been told of one
	sessions int
}

// connectionKey finds the connection in an ssh.Context.
type connectionKey struct{}

func newConnection(base context.Context, s *Server, conn net.Conn) *connection {
	c := &connection{Conn: conn, server: s, base: base, ip: conn.RemoteAddr().String()}
	if host, _, err := net.SplitHostPort(c.ip); err == nil {
		c.ip = host
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		c.raw, _ = tcp.SyscallConn()
	}
	return c
}

// serve speaks SSH until the connection ends.
func (c *connection) serve(server *ssh.Server) {
	defer func() {
		if p := recover(); p != nil {
			c.server.logger.Error("panic in a connection", "ip", c.ip, "panic", p)
		}
		c.Close()
		c.server.guests.leave(c)
		c.server.failedSignIn(c)
	}()
	// The library sets deadlines of its own on a connection, so this is a clock beside it.
	handshake := time.AfterFunc(c.server.config.Limits.Handshake, func() {
		if !c.isSignedIn() {
			c.Close()
		}
	})
	defer handshake.Stop()
	stop := context.AfterFunc(c.base, func() {
		if !c.isSignedIn() {
			c.Close()
		}
	})
	defer stop()
	server.HandleConn(c)
}

// Read asks the kernel to acknowledge at once. A client that does not switch Nagle's algorithm off
// would otherwise wait for a delayed acknowledgement, 40 ms, twice in every push. The kernel forgets
// the wish, hence after every read.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.raw != nil && err == nil {
		_ = c.raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		})
	}
	return n, err
}

// SetDeadline does nothing: the library sets none, before every read and write.
func (c *connection) SetDeadline(time.Time) error { return nil }

func (c *connection) isSignedIn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signedIn
}

// openSession counts a session, unless the connection has its share.
func (c *connection) openSession() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions >= c.server.config.Limits.Sessions {
		return false
	}
	c.sessions++
	return true
}

func (c *connection) closeSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions--
}

// watch asks the client every now and then whether it is there, and closes the connection when it
// does not answer: a client that lost its network says nothing, and our own writes succeed for long.
func (c *connection) watch(conn *gossh.ServerConn) {
	limits := c.server.config.Limits
	closed := make(chan struct{})
	go func() {
		_ = conn.Wait()
		close(closed)
	}()
	ticker := time.NewTicker(limits.KeepAlive)
	defer ticker.Stop()
	var answered chan struct{} // nil: nothing was asked
	for missed := 0; ; {
		select {
		case <-closed:
			return
		case <-answered:
			answered, missed = nil, 0
		case <-ticker.C:
			if answered == nil {
				answered = ask(conn)
			} else if missed++; missed >= limits.KeepAliveMisses {
				c.server.logger.Info("a client does not answer any more", "ip", c.ip)
				c.Close()
				return
			}
		}
	}
}

// ask sends a question that every client answers, with a refusal as a rule.
func ask(conn *gossh.ServerConn) chan struct{} {
	answered := make(chan struct{})
	go func() {
		if _, _, err := conn.SendRequest("keepalive@openssh.com", true, nil); err == nil {
			close(answered)
		}
	}()
	return answered
}
