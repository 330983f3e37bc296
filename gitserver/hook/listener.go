package hook

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"slipway/deploy/sockets"
)

// socketName is the socket's name in the hooks folder; cmd/slipway-hook knows it too.
const socketName = "sock"

// Handler answers a hook. What it returns is the hook's exit status. Its context ends with the
// server's, not with the hook: a Read that returns io.EOF tells of that.
type Handler func(context.Context, *Call) int

// Listener accepts calls of hooks.
type Listener struct {
	unix   *net.UnixListener
	dir    string
	logger *slog.Logger
}

// newMark ends the name of a file that is on its way to its place. One that a killed server has left there is
// used again: of a data directory's servers only one lives.
const newMark = ".new"

// Install puts program into dir under each name, atomically, so that a git that runs at this moment
// finds the old or the new one. It makes dir with mode 0700.
func Install(dir string, program []byte, names ...string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the hooks folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("closing the hooks folder to others: %w", err)
	}
	for _, name := range names {
		if err := install(filepath.Join(dir, name), program); err != nil {
			return fmt.Errorf("installing hook %s: %w", name, err)
		}
	}
	return nil
}

func install(path string, program []byte) error {
	temporary := path + newMark
	// A descriptor open for writing would make the program busy for a git that starts it right now,
	// so it is closed before it gets its name.
	if err := os.WriteFile(temporary, program, 0o700); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return nil
}

// Listen opens the socket in dir, which Install has made, with mode 0600. A socket that a killed
// server left is replaced.
func Listen(dir string, logger *slog.Logger) (*Listener, error) {
	temporary := filepath.Join(dir, socketName+newMark)
	l, err := sockets.Listen(temporary)
	if err != nil {
		return nil, fmt.Errorf("opening the hooks' socket: %w", err)
	}
	// In one step, so that no hook finds none.
	if err := os.Rename(temporary, filepath.Join(dir, socketName)); err != nil {
		l.Close()
		return nil, fmt.Errorf("opening the hooks' socket: %w", err)
	}
	return &Listener{unix: l, dir: dir, logger: logger}, nil
}

// Close closes the socket. Serve does so too.
func (l *Listener) Close() error { return l.unix.Close() }

// Serve gives each call to handle, in a goroutine of its own, until ctx ends. It does not wait for
// handlers that have not returned by then: git waits for them, and whoever started git knows when it
// has ended.
func (l *Listener) Serve(ctx context.Context, handle Handler) error {
	err := sockets.Accept(ctx, l.unix, l.logger, func(conn net.Conn) { go l.serve(ctx, conn.(*net.UnixConn), handle) })
	if err != nil {
		return fmt.Errorf("accepting a hook's connection: %w", err)
	}
	return nil
}

func (l *Listener) serve(ctx context.Context, conn *net.UnixConn, handle Handler) {
	defer conn.Close()
	if err := samePeer(conn); err != nil {
		l.logger.Error("refused a connection to the hooks' socket", "error", err)
		return
	}
	call, err := newCall(conn)
	if err != nil {
		l.logger.Error("refused a connection to the hooks' socket", "error", err)
		return
	}
	status := 1
	func() {
		defer func() {
			if p := recover(); p != nil {
				l.logger.Error("panic in a hook's handler", "hook", call.Name, "panic", p)
			}
		}()
		status = handle(ctx, call)
	}()
	if err := call.exit(status); err != nil {
		l.logger.Warn("a hook left before its answer", "hook", call.Name, "error", err)
	}
}

// samePeer checks that a process of this server's own user connected.
func samePeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if sockErr != nil {
		return fmt.Errorf("asking who connected: %w", sockErr)
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("process %d of user %d connected", cred.Pid, cred.Uid)
	}
	return nil
}
