package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy/sockets"
)

// SupervisorConfig is what a supervisor needs. All but Env, Version and Logger are required.
type SupervisorConfig struct {
	// Argv starts a router that ends up in Serve with the same control socket as Client's. Argv[0] is
	// an absolute path; the router's working directory is "/". A router that was started with other
	// arguments is replaced like one of another version.
	Argv    []string
	Env     []string // the router's whole environment
	Client  *Client  // the server's one client
	LogPath string   // where the router's standard output and error go
	Version string   // the version that the router should have
	// Table returns what is recorded: a route for every app. It must not use Client.
	Table  func(context.Context) ([]Route, error)
	Logger *slog.Logger

	silence  time.Duration // how long a router may say nothing
	patience time.Duration // how long connections wait for a router that cannot be started
}

// Supervisor sees to it that a router runs, of the server's version and with the table that is
// recorded. The router does not end with it.
type Supervisor struct {
	config SupervisorConfig
	log    *slog.Logger
	ready  chan struct{}
	first  sync.Once

	mu       sync.Mutex
	stopping bool
	child    *child   // the router this process has started last, nil if none
	listener *os.File // the router's listening socket, kept for its successor
}

// NewSupervisor returns a supervisor that has done nothing yet.
func NewSupervisor(config SupervisorConfig) *Supervisor {
	s := &Supervisor{config: config, log: config.Logger, ready: make(chan struct{})}
	s.config.silence = orDefault(config.silence, defaultSilence)
	s.config.patience = orDefault(config.patience, defaultPatience)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Ready is closed when a router has been told the recorded table for the first time.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Run adopts the router that answers on the control socket or starts one, and keeps one running until
// ctx ends or Stop is called. The router goes on after ctx's end. Run returns an error if the first
// router cannot be started; later failures are logged and tried again.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.dropListener()
	pause := &backoff{}
	var gone time.Time // when there was a router last
	for ctx.Err() == nil && !s.isStopping() {
		err := s.keep(ctx, pause)
		if err == nil || ctx.Err() != nil || s.isStopping() {
			gone = time.Now()
			continue
		}
		if !s.wasReady() {
			return err
		}
		s.log.Error("no router runs; trying again", "error", err)
		if time.Since(gone) > s.config.patience {
			s.dropListener() // let clients be refused rather than wait for nobody
		}
		pause.wait(ctx)
	}
	return nil
}

// defaultPatience is enough for some attempts to start a router, and less than what a client waits.
const defaultPatience = 5 * time.Second

// replaceAgain is how long a router stays whose replacement could not be started.
const replaceAgain = time.Minute

// keep finds or starts a router and stays with it until it is gone.
func (s *Supervisor) keep(ctx context.Context, pause *backoff) error {
	w, err := s.connect(ctx)
	if err != nil {
		return err
	}
	var told sync.WaitGroup
	defer told.Wait()
	defer w.close()
	began := time.Now()
	s.holdListener(w.ctx)
	told.Go(func() { s.tell(w.ctx) })
	var outdated <-chan time.Time
	if !s.isRight(w.health) {
		outdated = time.After(replaceAgain)
	}
	select {
	case <-w.done:
	case <-outdated:
		return nil
	case <-ctx.Done():
	}
	if ctx.Err() != nil || s.isStopping() {
		return nil
	}
	s.log.Warn("router is gone", "pid", w.health.PID, "silent", w.silent)
	if w.silent {
		s.killSilent(ctx)
	}
	if time.Since(began) < time.Second {
		pause.wait(ctx)
	} else {
		pause.reset()
	}
	return nil
}

// connect returns a watch of a router as it should be. A router that cannot be replaced by a newer
// one is better than none.
func (s *Supervisor) connect(ctx context.Context) (*watch, error) {
	w, err := s.config.Client.watch(ctx, s.config.silence)
	if errors.Is(err, errSilent) {
		s.killSilent(ctx)
	}
	if err != nil {
		return s.startRouter(ctx, true)
	}
	if s.isRight(w.health) {
		s.log.Info("router adopted", "pid", w.health.PID, "listen", w.health.Listen)
		return w, nil
	}
	s.log.Info("router is replaced", "pid", w.health.PID, "version", w.health.Version, "by", s.config.Version)
	next, err := s.startRouter(ctx, false)
	if err != nil {
		s.log.Error("router cannot be replaced; the old one goes on", "pid", w.health.PID, "error", err)
		return w, nil
	}
	w.close()
	return next, nil
}

func (s *Supervisor) isRight(h Health) bool {
	return h.Version == s.config.Version && slices.Equal(h.Arguments, s.config.Argv[1:])
}

// tell gives the router the recorded table. It tries until ctx, the router's watch, ends. Meanwhile the
// router serves the table of its predecessor or of its state file.
func (s *Supervisor) tell(ctx context.Context) {
	pause := &backoff{next: 100 * time.Millisecond}
	for {
		err := s.config.Client.replaceTable(ctx, s.config.Table)
		if err == nil {
			s.first.Do(func() { close(s.ready) })
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Error("the router does not know the recorded table; trying again", "error", err)
		pause.wait(ctx)
	}
}

// killSilent ends a router that is there and does not answer.
func (s *Supervisor) killSilent(ctx context.Context) {
	conn, err := sockets.Dial(ctx, s.config.Client.socket)
	if err != nil {
		return
	}
	defer conn.Close()
	pid, err := peerID(conn)
	if err != nil || pid == os.Getpid() {
		return
	}
	s.log.Error("router does not answer; it is killed", "pid", pid)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		s.log.Error("killing the router failed", "pid", pid, "error", err)
	}
}

// holdListener keeps a descriptor of the router's listening socket, so that connections queue while
// the router is restarted.
func (s *Supervisor) holdListener(ctx context.Context) {
	f, err := borrowListener(ctx, s.config.Client.socket)
	if err != nil {
		s.log.Warn("connections will be refused while the router is restarted", "error", err)
		return
	}
	s.dropListener()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = f
}

func (s *Supervisor) dropListener() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
}

// Stop ends the router for good, with those that handed over to it, and returns when its requests
// have ended or ctx has. Run then returns. No router starts afterwards.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.dropListener()
	w, err := s.config.Client.watch(ctx, s.config.silence)
	if isAbsent(err) {
		return s.endChild(ctx)
	}
	if err != nil {
		return fmt.Errorf("stopping the router: %w", err)
	}
	defer w.close()
	if err := s.config.Client.call(ctx, "POST", "/stop", nil, nil); err != nil {
		return fmt.Errorf("stopping the router: %w", err)
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		return fmt.Errorf("stopping the router: %w", ctx.Err())
	}
	return s.awaitChild(ctx)
}

func (s *Supervisor) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

func (s *Supervisor) wasReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// backoff is how long to wait between attempts: not at all first, then ever longer up to 5 s.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context) {
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(max(2*b.next, 20*time.Millisecond), 5*time.Second)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
