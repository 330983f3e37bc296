package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// addressPatience is how long a router waits for its address. A server that was just killed, or a router
// that it was starting, may have it for a moment.
const addressPatience = 2 * time.Second

// start makes the router ready to serve: with a listening socket, a table if there is one to be had,
// and the control socket under its name.
func (r *router) start(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(r.config.Socket), 0o700); err != nil {
		return fmt.Errorf("making the control socket's folder: %w", err)
	}
	kept := keptListener()
	defer func() {
		if kept != nil && kept != r.listener {
			_ = kept.Close()
		}
	}()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for until := time.Now().Add(addressPatience); ; {
		err := r.tryStart(ctx, kept)
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(until) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// tryStart takes the place of the router that answers at the control socket, or finds it empty. One
// router does this at a time.
func (r *router) tryStart(ctx context.Context, kept *net.TCPListener) error {
	unlock, err := lockFile(ctx, r.config.Socket+".lock")
	if err != nil {
		return fmt.Errorf("waiting for another router to start: %w", err)
	}
	defer unlock()
	r.clearSockets()
	r.control, err = listenSocket(r.config.Socket + startingSuffix + r.id)
	if err != nil {
		return err
	}
	tookOver, err := r.takePlace(ctx, kept)
	if err != nil {
		r.control.close()
		return err
	}
	err = r.findPredecessors(ctx)
	r.serveControl()
	if err == nil {
		err = r.control.move(r.config.Socket)
	}
	if err != nil {
		r.endControl()
		return errors.Join(err, r.listener.Close())
	}
	r.log.Info("router serves", "listen", r.listener.Addr().String(), "pid", os.Getpid(), "router", r.id,
		"apps", len(r.table.Load().routes()), "tookOver", tookOver)
	return nil
}

// takePlace tries again when the connection to the old router breaks, because then it may just have
// died.
func (r *router) takePlace(ctx context.Context, kept *net.TCPListener) (tookOver bool, err error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range 10 {
		var old *handover
		old, err = askHandover(ctx, r.config.Socket, r.id)
		if isAbsent(err) {
			return false, r.startAlone(kept)
		}
		if err == nil {
			err = r.succeed(old)
		}
		if !isBroken(err) {
			return err == nil, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, err
}

// isBroken tells whether err means that the other end is gone.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// startAlone serves the state file's table, on the socket that the supervisor has kept if it fits.
// Without a state file, requests wait for the server's table.
func (r *router) startAlone(kept *net.TCPListener) (err error) {
	if reuse(kept, r.config.Listen) {
		r.listener = kept
	} else if r.listener, err = listen(r.config.Listen, kept != nil); err != nil {
		return err
	}
	routes, err := readState(r.config.StateFile)
	switch {
	case err == nil:
		r.install(byApp(routes))
	case !errors.Is(err, fs.ErrNotExist):
		r.log.Warn("state file is of no use; waiting for the server's table", "error", err)
	}
	return nil
}

// succeed serves what old served, on its socket. Once old has been told so, it accepts nothing any
// more; what connects meanwhile waits in the socket's queue.
func (r *router) succeed(old *handover) (err error) {
	defer old.close()
	if r.listener, err = old.listen(r.config.Listen); err != nil {
		return err
	}
	if old.Routes != nil {
		r.install(byApp(old.Routes))
		r.save(byApp(old.Routes))
	}
	if err := old.confirm(); err != nil {
		return errors.Join(err, r.listener.Close())
	}
	return nil
}

// clearSockets removes what routers left that were killed while they started.
func (r *router) clearSockets() {
	stale, err := siblings(r.config.Socket, startingSuffix)
	if err != nil {
		r.log.Warn("stale control sockets stay", "error", err)
	}
	for _, path := range stale {
		_ = os.Remove(path) // it is in nobody's way
	}
}

// isAbsent tells whether err means that no router listens there.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)
}

// lockFile takes the lock on the file at path, which the kernel gives back when the process ends. It
// waits for whoever has it until ctx ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}

// reuse tells whether l serves address.
func reuse(l *net.TCPListener, address string) bool {
	return l != nil && sameAddress(l.Addr(), address)
}
