package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"

	"slipway/deploy"
	"slipway/deploy/sockets"
	"slipway/gitserver/hook"
	"slipway/gitserver/repo"
)

// Gate decides about updates of gated branches.
type Gate interface {
	// Check says early what is wrong with an offer, before anything is built, or nil: a
	// *deploy.Rejection, or a fault. It is quick. It may be called for offers that Admit never sees.
	Check(context.Context, deploy.Offer) error
	// Admit puts the offer through the gate and returns when that is decided, which takes minutes. If
	// it accepts, it has moved the ref itself. Its context ends when the pusher goes away or the
	// server shuts down; what that means is the gate's business. What it writes to progress the pusher
	// reads, with colours, tabs and newlines left of all control characters; such writes wait for one who
	// reads slowly, but not for one who has stopped, and do not fail.
	Admit(ctx context.Context, offer deploy.Offer, progress io.Writer) deploy.Answer
}

// Directory says who and what exists. Missing things are deploy.ErrNotFound.
type Directory interface {
	// UserByKey returns the user of a key, by the key's SHA256:… fingerprint.
	UserByKey(ctx context.Context, fingerprint string) (deploy.User, error)
	// Access returns an app and what the user was granted on it, "" if nothing.
	Access(context.Context, deploy.UserName, deploy.AppName) (deploy.App, deploy.Role, error)
}

// Commands runs what is asked for by ssh host COMMAND. It returns the exit status.
type Commands interface {
	Run(ctx context.Context, caller Caller, argv []string, stdio Stdio) int
}

// Caller is who runs a command.
type Caller struct {
	User   deploy.User
	Pusher deploy.Pusher
}

// Stdio is a command's input and output. Out and Err are for text: of control characters only
// colours, tabs and newlines get through.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Recorder keeps events for history: ref.intended, ref.updated, signin.failed, and push.refused where the gate
// has not heard of the push. What cannot be recorded is not done.
type Recorder interface {
	Record(context.Context, deploy.Event) error
}

// Config is what a server needs. Everything but Limits and Logger is required.
type Config struct {
	Addr        string // host:port to listen on
	HostKeyPath string // made on first start
	HooksDir    string // for git's hooks and their socket; a folder of the server's own
	HookProgram []byte // cmd/slipway-hook, built
	Repos       *repo.Store
	Gate        Gate
	Directory   Directory
	Commands    Commands
	Recorder    Recorder
	// Room says why the disk has no room for a push, before its pack is sent; nil does not look.
	Room func(deploy.AppName) error
	// Head tells where the records end, as one word; every push ends with it, so that the pusher's terminal
	// is a witness of what was recorded by then. nil says nothing.
	Head   func() string
	Limits Limits
	Logger *slog.Logger
}

// Limits keep strangers, and mistakes, from taking the machine. Zero means the default.
type Limits struct {
	Connections          int           // open at a time; default 1000
	Unauthenticated      int           // of them not signed in; default 200
	UnauthenticatedPerIP int           // of those from one address; default 50
	Handshake            time.Duration // to sign in, a passphrase typed included; default 1 min
	Sessions             int           // at a time in one connection; default 10
	KeepAlive            time.Duration // between questions whether the client is there; default 15 s
	KeepAliveMisses      int           // unanswered ones until it counts as gone; default 4
	Stall                time.Duration // a pusher may read nothing, with megabytes waiting; default 30 s
	Shutdown             time.Duration // for pushes and commands to end; default 10 s
	RefUpdates           int           // in one push; default 20000
	PackBytes            int64         // in one push; default 2 GiB
	GitMemory            int64         // bytes, of each git process that takes a push in; default 2 GiB
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		value *int
		to    int
	}{{&l.Connections, 1000}, {&l.Unauthenticated, 200}, {&l.UnauthenticatedPerIP, 50}, {&l.Sessions, 10}, {&l.KeepAliveMisses, 4}, {&l.RefUpdates, 20_000}} {
		if *d.value == 0 {
			*d.value = d.to
		}
	}
	for _, d := range []struct {
		value *time.Duration
		to    time.Duration
	}{{&l.Handshake, time.Minute}, {&l.KeepAlive, 15 * time.Second}, {&l.Stall, 30 * time.Second}, {&l.Shutdown, 10 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.to
		}
	}
	if l.PackBytes == 0 {
		l.PackBytes = 2 << 30
	}
	if l.GitMemory == 0 {
		l.GitMemory = 2 << 30
	}
	return l
}

// Server is the git server. Make it with [New].
type Server struct {
	config Config
	logger *slog.Logger
	pushes pushes
	keys   keyring
	// failures are the failed sign-ins that are still to be recorded.
	failures deploy.FailedSignIns
	guests   guests

	ready chan struct{}
	addr  string // set before ready is closed

	mu       sync.Mutex
	closing  bool
	sessions sync.WaitGroup
}

// New returns a server. It starts nothing.
func New(config Config) *Server {
	config.Limits = config.Limits.withDefaults()
	// Git runs in another folder. That a path cannot be made absolute shows when it is used.
	if dir, err := filepath.Abs(config.HooksDir); err == nil {
		config.HooksDir = dir
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{config: config, logger: config.Logger, ready: make(chan struct{})}
}

// Ready is closed when the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr returns the address that the server listens on; only after [Server.Ready].
func (s *Server) Addr() string { return s.addr }

// Run serves until ctx ends: then it takes no more connections and sessions, ends the contexts of the
// present ones, lets pushes and commands finish for [Limits.Shutdown], and closes what is left. It
// runs once.
func (s *Server) Run(ctx context.Context) error {
	if len(s.config.HookProgram) == 0 {
		return errors.New("starting the git server: no hook program")
	}
	key, err := loadHostKey(s.config.HostKeyPath)
	if err != nil {
		return err
	}
	if err := hook.Install(s.config.HooksDir, s.config.HookProgram, procReceive); err != nil {
		return err
	}
	calls, err := hook.Listen(s.config.HooksDir, s.logger)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.config.Addr)
	if err != nil {
		calls.Close()
		return fmt.Errorf("listening for git: %w", err)
	}
	s.addr = listener.Addr().String()
	close(s.ready)
	s.logger.Info("git server listens", "addr", s.addr)
	return s.serve(ctx, key, listener, calls)
}

// serve runs what Run has opened. Sessions end first, then what answers their hooks.
func (s *Server) serve(ctx context.Context, key ssh.Signer, listener net.Listener, calls *hook.Listener) error {
	var work sync.WaitGroup
	hooks, stopHooks := context.WithCancel(context.WithoutCancel(ctx))
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	failed := make(chan error, 2)
	counting, stopCounting := context.WithCancel(context.WithoutCancel(ctx))
	var counted sync.WaitGroup
	counted.Go(func() { s.failures.Run(counting, s.recordFailure) })
	work.Go(func() { failed <- calls.Serve(hooks, s.serveHook) })
	server := s.sshServer(key)
	work.Go(func() {
		failed <- sockets.Accept(base, listener, s.logger, func(conn net.Conn) { s.receive(base, conn, server) })
	})

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	end(errShutdown)
	listener.Close() // before anybody is asked to leave
	s.drain()
	server.Close()
	stopHooks()
	work.Wait()
	stopCounting()
	counted.Wait()
	return err
}

// Why a session's context has ended.
var (
	errShutdown      = deploy.ErrShutdown
	errClientGone    = errors.New("the client went away")
	errClientStalled = errors.New("the client does not read any more")
)

// receive serves a connection, if there is room for it.
func (s *Server) receive(ctx context.Context, conn net.Conn, server *ssh.Server) {
	c := newConnection(ctx, s, conn)
	evicted, ok := s.guests.enter(c, s.config.Limits)
	if evicted != nil {
		s.logger.Debug("let a stranger go: too many", "ip", evicted.ip) // a flood, so not louder
		evicted.Close()
	}
	if !ok {
		s.logger.Debug("refused a connection: too many", "ip", c.ip) // a flood, so not louder
		conn.Close()
		return
	}
	go c.serve(server)
}

// enterSession counts a session, unless the server is shutting down.
func (s *Server) enterSession() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.sessions.Add(1)
	return true
}

// drain lets sessions end, for a while.
func (s *Server) drain() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(s.config.Limits.Shutdown):
		s.logger.Warn("shutting down although sessions have not ended")
	}
}
