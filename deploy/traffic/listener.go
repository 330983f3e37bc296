package traffic

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// listen opens the router's socket, with SO_REUSEPORT, so that another router can be put beside it.
//
// Unless it is to stand beside one itself, the option is set between bind and listen: the bind then
// fails if anybody else has the address, another server's router for instance, with which the kernel
// would otherwise share out the connections at random.
func listen(address string, beside bool) (*net.TCPListener, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	fd, sockaddr, err := openSocket(addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	err = bindAndListen(fd, sockaddr, beside)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, errors.Join(err, unix.Close(fd)))
	}
	return adoptListener(os.NewFile(uintptr(fd), "listener"))
}

func openSocket(addr *net.TCPAddr) (int, unix.Sockaddr, error) {
	const kind = unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	if ip := addr.IP.To4(); ip != nil {
		fd, err := unix.Socket(unix.AF_INET, kind, 0)
		return fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip)}, err
	}
	fd, err := unix.Socket(unix.AF_INET6, kind, 0)
	if err != nil && addr.IP == nil { // a host without IPv6
		fd, err = unix.Socket(unix.AF_INET, kind, 0)
		return fd, &unix.SockaddrInet4{Port: addr.Port}, err
	}
	sockaddr := &unix.SockaddrInet6{Port: addr.Port}
	if err == nil && addr.IP == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	} else {
		copy(sockaddr.Addr[:], addr.IP.To16())
	}
	return fd, sockaddr, err
}

func bindAndListen(fd int, sockaddr unix.Sockaddr, beside bool) error {
	share := func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if beside {
		if err := share(); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, sockaddr); err != nil {
		return err
	}
	if !beside {
		if err := share(); err != nil {
			return err
		}
	}
	return unix.Listen(fd, 1<<16-1) // the kernel cuts it to net.core.somaxconn
}

// adoptListener makes f, which it closes, the listener.
func adoptListener(f *os.File) (*net.TCPListener, error) {
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("adopting a listening socket: %w", err)
	}
	t, ok := l.(*net.TCPListener)
	if !ok {
		_ = l.Close()
		return nil, fmt.Errorf("adopting a listening socket: it is no TCP socket but %s", l.Addr().Network())
	}
	return t, nil
}

// listenerEnv names the descriptor of a listening socket that the supervisor kept when the router
// before this one died. Connections that came since then wait in its queue.
const listenerEnv = "SLIPWAY_ROUTER_LISTENER"

// keptListener returns the socket that the environment names; nil if there is none.
func keptListener() *net.TCPListener {
	const fd = 3
	if os.Getenv(listenerEnv) != "3" {
		return nil
	}
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return nil
	}
	l, err := adoptListener(os.NewFile(fd, "listener"))
	if err != nil {
		return nil
	}
	return l
}

// sameAddress tells whether a listener at have is what address asks for.
func sameAddress(have net.Addr, address string) bool {
	want, err := net.ResolveTCPAddr("tcp", address)
	got, ok := have.(*net.TCPAddr)
	if err != nil || !ok {
		return false
	}
	sameIP := got.IP.Equal(want.IP) || want.IP == nil && got.IP.IsUnspecified()
	return sameIP && (want.Port == 0 || want.Port == got.Port)
}
