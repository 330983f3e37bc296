package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/elazarl/goproxy"

	"slipway/deploy/sockets"
)

const (
	// maxConnections is how many clients one socket serves at a time; more wait.
	maxConnections = 256
	headerTimeout  = 30 * time.Second
	maxHeaderBytes = 64 << 10
)

// Config says what every socket of a [Proxy] allows.
type Config struct {
	Allow    []string     // see the package comment; none allows nothing
	Resolver Resolver     // nil is the host's
	Logger   *slog.Logger // gets faults of the proxy itself; nil drops them
}

// Proxy opens sockets. It is safe for concurrent use.
type Proxy struct {
	config Config
	logger *slog.Logger
}

// New returns a proxy. It opens nothing.
func New(c Config) *Proxy {
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	logger := c.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Proxy{config: c, logger: logger}
}

// Listen opens the unix socket at path, which must not exist and may be of any length, and serves it
// until it is closed. allow adds to Config.Allow. log gets a line for each host, from one goroutine at a
// time and never after Close.
//
// The socket has mode 0666, so that a sandbox's user can connect to it: its folder must keep others out,
// or the caller gives it an owner and a narrower mode.
//
// Close ends every tunnel and removes the socket.
func (p *Proxy) Listen(path string, allow []string, log io.Writer) (io.Closer, error) {
	list, err := parseRules(append(append([]string{}, p.config.Allow...), allow...))
	if err != nil {
		return nil, fmt.Errorf("reading the list of allowed hosts: %w", err)
	}
	listener, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("opening egress socket %s: %w", path, err)
	}
	s := &socket{
		path: path, log: log, seen: map[string]struct{}{}, open: map[io.Closer]struct{}{},
		guard: &guard{rules: list, resolver: p.config.Resolver, own: net.InterfaceAddrs},
	}
	s.server = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug),
	}
	s.listener = &tracked{Listener: listener, socket: s, places: make(chan struct{}, maxConnections), closed: make(chan struct{})}
	s.served.Go(func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			p.logger.Error("egress: serving a socket", "path", path, "error", err)
		}
	})
	return s, nil
}

// listen opens a socket that everybody may use who can reach it.
func listen(path string) (*net.UnixListener, error) {
	listener, err := sockets.Listen(path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// socket is one open socket.
type socket struct {
	path      string
	guard     *guard
	server    *http.Server
	listener  *tracked
	transport *http.Transport
	served    sync.WaitGroup

	mu     sync.Mutex
	log    io.Writer
	seen   map[string]struct{} // what was logged
	open   map[io.Closer]struct{}
	closed bool
}

// Close ends every tunnel and request, and removes the socket.
func (s *socket) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	connections := s.open
	s.open = nil
	s.mu.Unlock()
	s.listener.Close()
	for c := range connections {
		c.Close()
	}
	s.server.Close()
	s.transport.CloseIdleConnections()
	s.served.Wait()
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing egress socket: %w", err)
	}
	return nil
}

// handler makes the proxy that answers on the socket.
func (s *socket) handler() http.Handler {
	s.transport = &http.Transport{
		DialContext: s.connect, MaxIdleConns: 16, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 5 * time.Minute,
		DisableCompression: true,
	}
	proxy := goproxy.NewProxyHttpServer()
	proxy.Logger = quiet{}
	proxy.Tr = s.transport
	proxy.ConnectDial = nil // which it has taken from the environment
	proxy.ConnectDialWithReq = nil
	proxy.KeepAcceptEncoding = true
	proxy.OnRequest().HandleConnectFunc(s.tunnel)
	proxy.OnRequest().DoFunc(s.request)
	proxy.OnResponse().DoFunc(respond)
	proxy.NonproxyHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "egress: this is a proxy; it serves no pages", http.StatusBadRequest)
	})
	return proxy
}

// tunnel decides a CONNECT, and connects before it answers, so that the answer is the truth.
func (s *socket) tunnel(host string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
	conn, err := s.connect(ctx.Req.Context(), "tcp", host)
	if err != nil {
		ctx.Resp = refusal(ctx.Req, err) //nolint:bodyclose // goproxy writes it; its body is in memory
		return goproxy.RejectConnect, host
	}
	ctx.Dialer = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	return &goproxy.ConnectAction{Action: goproxy.ConnectAccept}, host
}

// request refuses other schemes than http. Whether the host may be reached is decided when the transport
// dials it.
func (s *socket) request(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
	if r.URL.Scheme != "http" {
		return r, refusal(r, &Refusal{Host: r.URL.Host, Reason: "only http is proxied; everything else goes through CONNECT"})
	}
	return r, nil
}

// respond turns an error of the transport into a response.
func respond(resp *http.Response, ctx *goproxy.ProxyCtx) *http.Response {
	if resp != nil || ctx.Error == nil {
		return resp
	}
	return refusal(ctx.Req, ctx.Error)
}

// refusal is the answer to a request that gets no other: 403 for a refused host, 502 for one that
// cannot be reached.
func refusal(r *http.Request, err error) *http.Response {
	status := http.StatusBadGateway
	if _, refused := errors.AsType[*Refusal](err); refused {
		status = http.StatusForbidden
	}
	body := "egress: " + err.Error() + "\n"
	return &http.Response{
		Request: r, StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header:        http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader([]byte(body))),
	}
}

// connect dials a host if it may be reached, and logs what became of it.
func (s *socket) connect(ctx context.Context, _, target string) (net.Conn, error) {
	route, err := s.guard.find(ctx, target)
	if refused, ok := errors.AsType[*Refusal](err); ok {
		if noteErr := s.note("refused", refused.Host, ": "+refused.Reason); noteErr != nil {
			return nil, noteErr
		}
		return nil, err
	}
	var conn net.Conn
	if err == nil {
		conn, err = s.guard.dial(ctx, route)
	}
	if err != nil {
		if noteErr := s.note("could not reach", route.host, ": "+err.Error()); noteErr != nil {
			return nil, noteErr
		}
		return nil, err
	}
	if err := s.note("reached", route.host, ""); err != nil {
		conn.Close()
		return nil, err
	}
	return s.track(conn)
}

// note logs what became of a host, once. It refuses when there are too many.
func (s *socket) note(what, host, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := what + " " + host
	if _, found := s.seen[key]; found {
		return nil
	}
	if len(s.seen) >= maxHosts {
		return &Refusal{Host: host, Reason: tooMany}
	}
	s.seen[key] = struct{}{}
	if !s.closed {
		_, _ = fmt.Fprintf(s.log, "egress: %s%s\n", key, why) // a log that cannot be written is its owner's trouble
	}
	return nil
}

// quiet drops goproxy's own log.
type quiet struct{}

// Printf does nothing.
func (quiet) Printf(string, ...any) {}
