// Package sockets dials and listens on unix sockets by paths of any length, and takes connections in from
// listeners of all kinds. A unix socket's address has room for 107 bytes (unix(7)), and a data directory may lie
// deeper than that; such a socket is reached through a descriptor of its folder. It knows nothing of who speaks
// over the socket.
package sockets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Dial connects to the socket at path.
func Dial(ctx context.Context, path string) (*net.UnixConn, error) {
	var conn *net.UnixConn
	err := Through(path, func(short string) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", short)
		if err == nil {
			conn = c.(*net.UnixConn)
		}
		return err
	})
	return conn, err
}

// Listen makes the socket at path, which only this user can open, in place of one that is there. That
// nobody listens on the old one any more is for the caller to know. Closing the listener leaves the
// socket's file.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the old socket: %w", err)
	}
	var listener *net.UnixListener
	err := Through(path, func(short string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		listener = l
		return os.Chmod(short, 0o600)
	})
	if err != nil && listener != nil {
		_ = listener.Close()
	}
	return listener, err
}

// pause is how long nothing is taken in after that has failed.
const pause = 100 * time.Millisecond

// Accept gives each connection that comes to handle, one after the other, until ctx ends; then it closes the
// listener and returns nil. A want of descriptors, and a client that has left again, are said to logger and do not
// end it. It fails with [net.ErrClosed] where somebody else has closed the listener.
func Accept(ctx context.Context, l net.Listener, logger *slog.Logger, handle func(net.Conn)) error {
	defer func() { _ = l.Close() }()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			logger.Warn("accepting a connection", "at", l.Addr().String(), "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		handle(conn)
	}
}

// Through calls do with a name for path that fits into a socket's address, and that is good while do
// runs.
func Through(path string, do func(short string) error) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}
