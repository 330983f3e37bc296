package traffic

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"slipway/deploy/sockets"
)

// controlSocket is a listening unix socket that moves: it is bound under a passing name, becomes the
// router's control socket by one rename, and gives that name up by another.
type controlSocket struct {
	*net.UnixListener

	mu   sync.Mutex
	path string // "" once it is closed
}

// The names of control sockets beside the present one's: of a router that is starting, and of one
// that has handed over. Both end in the router's id.
const (
	startingSuffix = ".starting-"
	leavingSuffix  = ".leaving-"
)

func listenSocket(path string) (*controlSocket, error) {
	l, err := sockets.Listen(path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	return &controlSocket{UnixListener: l, path: path}, nil
}

// move gives the socket another name, replacing what has it.
func (s *controlSocket) move(to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Rename(s.path, to); err != nil {
		return fmt.Errorf("naming the control socket: %w", err)
	}
	s.path = to
	return nil
}

// close removes the socket's name and closes it.
func (s *controlSocket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != "" {
		_ = os.Remove(s.path)
		s.path = ""
	}
	_ = s.Close()
}

// peerID returns the process that listens at the other end.
func peerID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return int(cred.Pid), nil
}

// sendListener sends b, not empty, and with it a descriptor of l, if l is not nil. The socket behind
// it stays open until the last descriptor is closed, so its queue of connections is never lost.
func sendListener(conn *net.UnixConn, b []byte, l *net.TCPListener) error {
	if l == nil {
		_, err := conn.Write(b)
		return err
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Control(func(fd uintptr) {
		_, _, sendErr = conn.WriteMsgUnix(b[:1], unix.UnixRights(int(fd)), nil)
	})
	if err != nil {
		return err
	}
	if sendErr != nil || len(b) == 1 {
		return sendErr
	}
	_, err = conn.Write(b[1:])
	return err
}

// receiveListener reads one byte, and the descriptor that came with it if there is one.
func receiveListener(conn *net.UnixConn) (byte, *os.File, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, os.ErrClosed
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) == 0 {
		return b[0], nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return b[0], nil, err
	}
	unix.CloseOnExec(fds[0])
	return b[0], os.NewFile(uintptr(fds[0]), "listener"), nil
}

// siblings returns the control sockets beside socket's whose names have the suffix.
func siblings(socket, suffix string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(socket))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(socket)+suffix) {
			found = append(found, filepath.Join(filepath.Dir(socket), e.Name()))
		}
	}
	return found, nil
}
