package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"slipway/deploy/unixsocket"
)

// outOfFiles is a listener that has no descriptor left for the first connections.
type outOfFiles struct {
	net.Listener
	fails int
}

func (l *outOfFiles) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// A server that cannot take a command at the moment goes on, and takes it then.
func TestCommandsWithoutDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := unixsocket.Listen(path)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	commands := &commandSocket{listener: &outOfFiles{l, 3}, logger: slog.New(slog.DiscardHandler)}
	go func() { ended <- commands.Run(ctx) }()
	conn, err := unixsocket.Dial(ctx, path)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Write([]byte("no command\n"))
	must(t, err)
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the command was not taken: %v", err)
	}
	stop()
	must(t, <-ended)
}
