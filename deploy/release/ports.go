package release

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// errPortTaken says that a process that is none of the instance's listens on its port.
var errPortTaken = errors.New("another process listens on the instance's port")

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func cutVariable(kv string) (key, value string, ok bool) { return strings.Cut(kv, "=") }

const (
	// firstPort is where ports are looked for from, where no privilege is needed and few services have theirs.
	firstPort = 10000
	lastPort  = 65535
	// enoughPorts is how many there must be to choose from.
	enoughPorts = 1000
)

// freePort returns a port of the loopback address on which nothing listens. It is none that the kernel gives to
// outgoing connections, if there are enough others: a process that ends and is started again then finds its port
// free, whatever the host connects to meanwhile.
func freePort() (int, error) {
	if first, count := portsBeside(outgoingPorts()); count >= enoughPorts {
		for range 100 {
			port := first + rand.IntN(count)
			if l, err := net.Listen("tcp4", address("127.0.0.1", port)); err == nil {
				return port, l.Close()
			}
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// outgoingPorts returns the first and the last port that outgoing connections get (ip(7),
// ip_local_port_range); all there are, if that cannot be told.
func outgoingPorts() (low, high int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if n, _ := fmt.Sscan(string(text), &low, &high); err != nil || n < 2 {
		return 1, lastPort
	}
	return low, high
}

// portsBeside returns the larger one of the ranges below and above that of outgoing connections.
func portsBeside(low, high int) (first, count int) {
	above := max(high+1, firstPort)
	if below := low - firstPort; below >= lastPort+1-above {
		return firstPort, below
	}
	return above, lastPort + 1 - above
}

// listener is a listening TCP socket of this host.
type listener struct {
	port  int
	inode string
}

// listeners asks the kernel for the listening sockets of the host's network: by sock_diag(7), which
// looks at those alone. /proc/net/tcp, read where there is no sock_diag, goes through every connection's
// bucket, which takes 10 ms and more on a large host.
func listeners() ([]listener, error) {
	if found, err := diagnosed(); err == nil {
		return found, nil
	}
	return listed()
}

func diagnosed() ([]listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var found []listener
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Sendto(fd, listenRequest(family), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, err
		}
		if found, err = receive(fd, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// listenRequest is a struct nlmsghdr and a struct inet_diag_req_v2 (linux/inet_diag.h) that asks for the
// TCP sockets of a family that listen.
func listenRequest(family byte) []byte {
	const byFamily, listening = 20, 1 << 10 // SOCK_DIAG_BY_FAMILY, TCP_LISTEN
	b := make([]byte, unix.SizeofNlMsghdr+56)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], byFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[unix.SizeofNlMsghdr], b[unix.SizeofNlMsghdr+1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[unix.SizeofNlMsghdr+4:], listening)
	return b
}

// receive adds the answers to a request, each a struct inet_diag_msg.
func receive(fd int, found []listener) ([]listener, error) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return found, nil
			case m.Header.Type == unix.NLMSG_ERROR, len(m.Data) < 72:
				return nil, errors.ErrUnsupported
			}
			port, inode := binary.BigEndian.Uint16(m.Data[4:]), binary.NativeEndian.Uint32(m.Data[68:])
			found = append(found, listener{port: int(port), inode: strconv.FormatUint(uint64(inode), 10)})
		}
	}
}

// listed reads the listening sockets of the host's network (proc(5), /proc/net/tcp).
func listed() ([]listener, error) {
	var found []listener
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("reading the listening sockets: %w", err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			const listening = "0A"
			if len(fields) < 10 || fields[3] != listening {
				continue
			}
			_, port, _ := strings.Cut(fields[1], ":")
			n, err := strconv.ParseUint(port, 16, 16)
			if err == nil {
				found = append(found, listener{port: int(n), inode: fields[9]})
			}
		}
		f.Close()
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("reading the listening sockets: %w", err)
		}
	}
	return found, nil
}

// ownership is who listens on a port.
type ownership int

const (
	nobody ownership = iota
	instance
	stranger
	unknown // somebody does, and not every one of pids can be looked at
)

// whoListens tells who listens on port, and which of pids does. It asks for them after it has looked at
// the port, so that who listens there is among them.
func whoListens(port int, pids func() []int) (ownership, int, error) {
	all, err := listeners()
	if err != nil {
		return nobody, 0, err
	}
	var inodes []string
	for _, l := range all {
		if l.port == port {
			inodes = append(inodes, l.inode)
		}
	}
	if len(inodes) == 0 {
		return nobody, 0, nil
	}
	owner := stranger
	for _, pid := range pids() {
		own, err := sockets(pid)
		if errors.Is(err, fs.ErrPermission) && !isLauncher(pid) {
			owner = unknown
		}
		if slices.ContainsFunc(own, func(s string) bool { return slices.Contains(inodes, s) }) {
			return instance, pid, nil
		}
	}
	return owner, 0, nil
}

// isLauncher tells whether a process is bubblewrap's, of which there are two around each command. They
// listen nowhere, and a server that is not root cannot look at them.
func isLauncher(pid int) bool {
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return err == nil && strings.TrimSpace(string(comm)) == "bwrap"
}

// none is for a port on which only strangers can listen.
func none() []int { return nil }

// portsOf lists the ports on which pids listen.
func portsOf(pids []int) []int {
	all, err := listeners()
	if err != nil {
		return nil
	}
	var ports []int
	for _, pid := range pids {
		own, _ := sockets(pid)
		for _, l := range all {
			if slices.Contains(own, l.inode) && !slices.Contains(ports, l.port) {
				ports = append(ports, l.port)
			}
		}
	}
	slices.Sort(ports)
	return ports
}

// sockets lists the inodes of the sockets that a process has open.
func sockets(pid int) ([]string, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var inodes []string
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if s, ok := strings.CutPrefix(to, "socket:["); ok {
			inodes = append(inodes, strings.TrimSuffix(s, "]"))
		}
	}
	return inodes, nil
}
