package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slipway/deploy"
)

// Config is what a router process needs to know. Listen, Socket, StateFile and Domain are required.
type Config struct {
	Listen    string // TCP address for HTTP, such as ":8000"
	Socket    string // the control socket; its folder is made with mode 0700 if it is missing
	StateFile string // the table as last put in force
	Domain    string // app shop answers at shop.<Domain>
	Version   string // told by Health; a router of another version is replaced
	// TrustedProxies may say for whom they ask, by X-Forwarded-For, -Host and -Proto. From anybody
	// else these headers are replaced.
	TrustedProxies []netip.Prefix
	Logger         *slog.Logger

	idleTimeout   time.Duration // of a connection between requests
	drainTimeout  time.Duration // how long connections may last after another router has taken over
	stopTimeout   time.Duration // how long requests may last once the router is to stop
	tablePatience time.Duration // how long a request waits for the first table
	heartbeat     time.Duration
}

func (c Config) withDefaults() Config {
	c.idleTimeout = orDefault(c.idleTimeout, time.Minute)
	c.drainTimeout = orDefault(c.drainTimeout, time.Hour)
	c.stopTimeout = orDefault(c.stopTimeout, 10*time.Second)
	c.tablePatience = orDefault(c.tablePatience, 10*time.Second)
	c.Domain = strings.ToLower(strings.Trim(c.Domain, "."))
	c.heartbeat = orDefault(c.heartbeat, defaultHeartbeat)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// router is the router process.
type router struct {
	config    Config
	log       *slog.Logger
	id        string // tells it from every other router, also where process ids begin anew
	startedAt time.Time

	table  atomic.Pointer[table] // nil until there is one
	primed chan struct{}         // closed when there is one

	changing sync.Mutex // held from a change of the table until it is saved, and while the router hands over

	mu        sync.Mutex // guards what follows; nobody waits for a disk with it
	changes   uint64
	upstreams map[deploy.Instance]*upstream // of the table, and those that left it lately
	older     []*predecessor                // routers that have handed over to this one
	stateErr  error                         // why the state file is not what is in force

	leaving     atomic.Bool   // another router has taken over
	left        chan struct{} // closed then
	stop        chan struct{} // closed when somebody asks the router to stop
	stopOnce    sync.Once
	ended       chan struct{} // closed when all requests have ended
	listener    *net.TCPListener
	control     *controlSocket
	controller  *http.Server
	connections gauge // not hijacked ones
	serving     gauge // requests, upgraded connections too
	asked       gauge // questions on the control socket
	proxy       *httputil.ReverseProxy
}

func newRouter(config Config) *router {
	r := &router{
		config:    config.withDefaults(),
		id:        newRequestID()[:12],
		startedAt: time.Now(),
		primed:    make(chan struct{}),
		left:      make(chan struct{}),
		stop:      make(chan struct{}),
		ended:     make(chan struct{}),
		upstreams: make(map[deploy.Instance]*upstream),
	}
	r.log = r.config.Logger
	r.proxy = r.newProxy()
	return r
}

func (r *router) isLeaving() bool { return r.leaving.Load() }

// Serve is the router process. It takes over from a router that answers on the same control socket,
// serves until ctx ends, Client.Stop asks it to, or another router takes over from it, lets
// its requests end, and returns. It is meant to be the only thing that its process does: it sets the
// garbage collector's pace unless GOGC is set, and adopts a listening socket that the environment
// names.
func Serve(ctx context.Context, config Config) error {
	if config.Listen == "" || config.Socket == "" || config.StateFile == "" || config.Domain == "" {
		return errors.New("a router needs an address, a control socket, a state file and a domain")
	}
	if os.Getenv("GOGC") == "" {
		// The heap is a few MiB, so the default would collect at every few hundred requests.
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	r := newRouter(config)
	if err := r.start(ctx); err != nil {
		return err
	}
	return r.run(ctx)
}

func (r *router) httpServer() *http.Server {
	s := &http.Server{
		Handler:           r,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       r.config.idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
		ConnState:         r.connState,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

func (r *router) connState(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		r.connections.enter()
	case http.StateClosed, http.StateHijacked:
		r.connections.leave()
	}
}

// run serves until there is a reason to end, then lets what has begun come to its end. The control
// socket goes last, so that drains and counts are answered as long as there is something to ask for.
func (r *router) run(ctx context.Context) error {
	server := r.httpServer()
	var failure error
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		failure = server.Serve(r.listener)
	}()
	defer r.endControl()
	select {
	case <-accepted:
		if !r.isLeaving() {
			return fmt.Errorf("serving %s: %w", r.config.Listen, failure)
		}
		return r.leave(ctx, server, accepted)
	case <-r.left:
		return r.leave(ctx, server, accepted)
	case <-r.stop:
		r.log.Info("router stops")
		r.stopPredecessors()
	case <-ctx.Done():
		r.log.Info("router stops", "reason", context.Cause(ctx))
	}
	return r.shutDown(ctx, server)
}

// shutDown ends the router for good: nobody takes its connections over.
func (r *router) shutDown(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.stopTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	err = errors.Join(err, r.serving.wait(ctx))
	if err != nil {
		r.log.Warn("router ended requests that took too long", "requests", r.serving.now())
	}
	return server.Close()
}

// leave lets connections end after another router has taken over, and tells it what was counted.
func (r *router) leave(ctx context.Context, server *http.Server, accepted <-chan struct{}) error {
	err := r.finishConnections(ctx, server, accepted)
	r.sayFarewell()
	return err
}

// finishConnections accepts nothing more and lets what was accepted end. Idle connections are not closed:
// a request may be on its way on them, and their answers ask the client to close. The last connection may
// have been accepted and not counted yet; it has been when server accepts no more, which closes accepted.
func (r *router) finishConnections(ctx context.Context, server *http.Server, accepted <-chan struct{}) error {
	_ = r.listener.Close() // the successor has its own descriptor of the same socket
	<-accepted
	ctx, cancel := context.WithTimeout(ctx, r.config.drainTimeout)
	defer cancel()
	go func() {
		select {
		case <-r.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	if r.connections.wait(ctx) != nil || r.serving.wait(ctx) != nil {
		r.log.Warn("router ended connections that lasted too long after another took over",
			"connections", r.connections.now(), "requests", r.serving.now())
	}
	return server.Close()
}
