package inner

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"slipway/deploy/sockets"
)

// forwarder passes connections to a loopback address on to the egress proxy's unix socket.
type forwarder struct {
	listener net.Listener
	socket   string
	logger   *slog.Logger
	done     sync.WaitGroup
}

// listen starts forwarding from a free port of the loopback. What keeps it from taking connections in is said
// to log.
func listen(socket string, log io.Writer) (*forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the egress proxy: %w", err)
	}
	f := &forwarder{listener: l, socket: socket, logger: slog.New(slog.NewTextHandler(log, nil))}
	f.done.Go(f.accept)
	return f, nil
}

// Addr is where it listens, host:port.
func (f *forwarder) Addr() string { return f.listener.Addr().String() }

// Close stops listening. Connections that are open end with the program.
func (f *forwarder) Close() {
	f.listener.Close()
	f.done.Wait()
}

func (f *forwarder) accept() {
	_ = sockets.Accept(context.Background(), f.listener, f.logger, func(conn net.Conn) { go f.pass(conn) }) // until Close
}

// pass carries bytes both ways and hands on each side's half close.
func (f *forwarder) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("unix", f.socket)
	if err != nil {
		_, _ = in.Read(make([]byte, 4096)) // clients distrust an answer that comes before they asked
		fmt.Fprintf(in, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nthe egress proxy does not answer: %v\n", err)
		return
	}
	defer out.Close()
	var there sync.WaitGroup
	there.Go(func() { copyHalf(out, in) })
	copyHalf(in, out)
	there.Wait()
}

func copyHalf(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// proxyEnv are the variables by which programs find an HTTP proxy. Both spellings are needed: curl
// reads http_proxy in lower case only, others the upper case. ALL_PROXY is left out, since programs
// that speak something else than HTTP would take it for a SOCKS proxy. Node.js heeds them only when
// told to.
func proxyEnv(addr string) []string {
	url := "http://" + addr
	const direct = "localhost,127.0.0.1,::1"
	return []string{
		"HTTP_PROXY=" + url, "http_proxy=" + url,
		"HTTPS_PROXY=" + url, "https_proxy=" + url,
		"NO_PROXY=" + direct, "no_proxy=" + direct,
		"NODE_USE_ENV_PROXY=1",
	}
}
