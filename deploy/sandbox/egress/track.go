package egress

import (
	"io"
	"net"
	"sync"
)

// tracked is a listener whose connections are closed with the socket, hijacked ones too, and that
// accepts only as many as there are places.
type tracked struct {
	net.Listener
	socket *socket
	places chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a place, then for a connection.
func (l *tracked) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		<-l.places
		conn.Close()
		return nil, net.ErrClosed
	}
	c := &client{UnixConn: unix}
	c.free = func() {
		l.socket.forget(c)
		<-l.places
	}
	if !l.socket.remember(c) {
		c.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close stops accepting.
func (l *tracked) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// client is a connection to the socket. Being a UnixConn it can be closed by halves, which goproxy
// wants for tunnels.
type client struct {
	*net.UnixConn
	once sync.Once
	free func()
}

// Close closes the connection and frees its place.
func (c *client) Close() error {
	c.once.Do(c.free)
	return c.UnixConn.Close()
}

// target is a connection to the outside.
type target struct {
	*net.TCPConn
	once sync.Once
	free func()
}

// Close closes the connection.
func (t *target) Close() error {
	t.once.Do(t.free)
	return t.TCPConn.Close()
}

// track makes the socket's end close a connection to the outside.
func (s *socket) track(conn net.Conn) (net.Conn, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return nil, net.ErrClosed
	}
	t := &target{TCPConn: tcp}
	t.free = func() { s.forget(t) }
	if !s.remember(t) {
		tcp.Close()
		return nil, net.ErrClosed
	}
	return t, nil
}

// remember tells whether the socket is still open, and if so closes c with it.
func (s *socket) remember(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *socket) forget(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c) // nothing if it is nil already
}
