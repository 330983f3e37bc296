package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// ErrRunning says that another keeper runs in the folder.
var ErrRunning = errors.New("another keeper runs in this folder")

// NotStarted begins Status.LastExit where Start failed; its error follows.
const NotStarted = "could not be started: "

// Process is a started child with everything that belongs to it.
type Process interface {
	// PID is the child's process id.
	PID() int
	// Signal asks the child; SIGTERM is the only signal that a keeper sends.
	Signal(sig syscall.Signal) error
	// Kill ends the child and all processes that belong to it.
	Kill() error
	// Wait returns when they are all gone, and says how the child ended: "exit status 1". It is
	// called once.
	Wait() string
}

// Backoff says how long a keeper waits before it starts an ended child again: First, then twice as
// long each time up to Max, and First again after a child that ran for Reset.
type Backoff struct {
	First, Max, Reset time.Duration
}

// Config says what to keep and how. Zero values mean the defaults named.
type Config struct {
	// Dir is the keeper's folder, which exists; its user is the only one who may enter it.
	Dir string
	// Start starts the child with both streams on out. It is always called on the same operating
	// system thread, which lives as long as the keeper.
	Start func(ctx context.Context, out *os.File) (Process, error)
	// Trial leaves a child alone that ends, until Keep or Restart is asked for.
	Trial    bool
	Backoff  Backoff       // 100 ms, 30 s, 10 s
	Grace    time.Duration // between TERM and KILL when Run's context ends; 10 s
	LogBytes int64         // of one file of the child's log; 8 MiB
	LogFiles int           // of the child's log, the present one included; 3
	Logger   *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Backoff.First = cmp.Or(c.Backoff.First, 100*time.Millisecond)
	c.Backoff.Max = cmp.Or(c.Backoff.Max, 30*time.Second)
	c.Backoff.Reset = cmp.Or(c.Backoff.Reset, 10*time.Second)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	c.LogBytes = cmp.Or(c.LogBytes, 8<<20)
	c.LogFiles = cmp.Or(c.LogFiles, 3)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

// Run keeps a child until it is asked over its socket to stop, or ctx ends; either way the child has
// ended when it returns nil. It returns ErrRunning where a keeper runs already, and any other error
// before it has started anything. A child that cannot be started is one that ended.
func Run(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	lock, err := takeFolder(cfg.Dir)
	if err != nil {
		return err
	}
	defer lock.Close() // and with it the lock
	k, err := newKeeper(cfg)
	if err != nil {
		return err
	}
	server, err := k.listen()
	if err != nil {
		return err
	}
	go func() {
		// Never unlocked: the thread ends with the goroutine, and not before its children.
		runtime.LockOSThread()
		k.loop(ctx)
	}()
	k.syncUntilFinished()
	server.close()
	return nil
}

// syncUntilFinished brings the state to disk whenever it has changed, beside the loop, which must not
// wait for a disk, and once more at its end.
func (k *keeper) syncUntilFinished() {
	for running := true; running; {
		select {
		case <-k.unsynced:
		case <-k.finished:
			running = false
		}
		if err := syncStatus(k.cfg.Dir); err != nil {
			k.cfg.Logger.Warn("the keeper's state is not on disk", "err", err)
		}
	}
}

// takeFolder makes sure that this is the only keeper of dir. The lock alone could be on a file that
// somebody has deleted since, so the one who is on record must be gone, too.
func takeFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the keeper's folder: %w", err)
	}
	err = flockFolder(f, dir)
	if err == nil {
		if s, e := ReadStatus(dir); e == nil && s.Keeper.PID != os.Getpid() && s.Keeper.Alive() {
			err = ErrRunning
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the keeper's folder: %w", err)
	}
	return f, nil
}

// dying is how long a killed keeper may still be there and hold its folder: its threads do not end all at once,
// and the last of them gives the lock back.
const dying = 5 * time.Second

func flockFolder(f *os.File, dir string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(dying); ; <-tick.C {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if s, e := ReadStatus(dir); e != nil || s.Keeper.Alive() || time.Now().After(end) {
			return ErrRunning
		}
	}
}

func newKeeper(cfg Config) (*keeper, error) {
	self, err := Identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	status := Status{Keeper: self, Trial: cfg.Trial, LogPath: LogPath(cfg.Dir)}
	last, err := ReadStatus(cfg.Dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		cfg.Logger.Warn("starting without the last keeper's state", "err", err)
	default:
		status.Restarts, status.LastExit = last.Restarts, last.LastExit
		if last.Running { // that keeper was killed, and its child with it
			status.Restarts++
			status.LastExit = "its keeper was killed"
		}
		if err := endLeftover(last.Child); err != nil {
			return nil, err
		}
	}
	log, err := openLog(LogPath(cfg.Dir), cfg.LogBytes, cfg.LogFiles)
	if err != nil {
		return nil, err
	}
	return &keeper{
		cfg: cfg, start: starter(cfg, log), status: status,
		pause:    cfg.Backoff.First,
		requests: make(chan request),
		finished: make(chan struct{}),
		unsynced: make(chan struct{}, 1),
		changed:  make(chan struct{}),
	}, nil
}

// endLeftover makes sure that the last keeper's child is gone before another one is started, should
// the kernel not have ended it with its keeper.
func endLeftover(child Identity) error {
	if !child.Alive() {
		return nil
	}
	if err := child.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the child %d that the last keeper left: %w", child.PID, err)
	}
	if !until(5*time.Second, func() bool { return !child.Alive() }) {
		return fmt.Errorf("the child %d that the last keeper left does not end", child.PID)
	}
	return nil
}

// until asks again and again, at growing intervals, until done says yes or the time is over.
func until(limit time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return poll(ctx, done) == nil
}

// poll asks at once and then at intervals growing from 1 to 50 ms, an eighth of what has passed, until
// done says yes. It returns why the context has ended if that was first.
func poll(ctx context.Context, done func() bool) error {
	for begin := time.Now(); ; {
		if done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(min(max(time.Since(begin)/8, time.Millisecond), 50*time.Millisecond)):
		}
	}
}

// trimOwnLog empties keeper.log once it is large: Spawn opens it for appending, so whoever writes to
// it goes on at its new end.
func trimOwnLog(dir string, limit int64) {
	path := filepath.Join(dir, ownLogFile)
	if info, err := os.Stat(path); err == nil && info.Size() > limit {
		_ = os.Truncate(path, 0)
	}
}
