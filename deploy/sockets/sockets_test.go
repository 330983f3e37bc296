package sockets

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLongPath listens and dials where net alone cannot, twice at the same place.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sock")
	for range 2 {
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write([]byte("hello"))
				_ = c.Close()
			}
		}()
		c, err := Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
			t.Errorf("read %q, %v", b, err)
		}
		_ = c.Close()
		_ = l.Close()
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

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

// TestAccept: whoever cannot be taken in at the moment is taken in then.
func TestAccept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	accepting := func(ctx context.Context, fails int, log io.Writer) (*net.UnixListener, chan error) {
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			ended <- Accept(ctx, &outOfFiles{l, fails}, slog.New(slog.NewTextHandler(log, nil)), func(c net.Conn) {
				_, _ = io.WriteString(c, "hello")
				_ = c.Close()
			})
		}()
		return l, ended
	}
	greeted := func() {
		t.Helper()
		c, err := Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
			t.Errorf("read %q, %v", b, err)
		}
	}

	var log bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	_, ended := accepting(ctx, 3, &log)
	greeted()
	greeted()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "too many open files"); n != 3 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}

	l, ended := accepting(t.Context(), 0, io.Discard)
	greeted()
	_ = l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed by another: %v", err)
	}
}
