package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"slipway/deploy/sockets"
)

// ErrGone says that no keeper runs in the folder. [ReadStatus] tells what the last one knew.
var ErrGone = errors.New("no keeper runs in this folder")

// Client speaks with the keeper of a folder. It holds no connection, so it needs no closing. Its
// methods are safe for concurrent use, and fail with ErrGone once that very keeper has gone, even
// where another one has taken its folder.
type Client struct {
	dir string
	id  Identity
}

// Connect finds the keeper of dir: the process on record must be alive, with the start time and the
// boot on record. It fails with ErrGone where there is none.
func Connect(dir string) (*Client, error) {
	s, err := ReadStatus(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrGone)
	}
	if err != nil {
		return nil, err
	}
	if !s.Keeper.Alive() {
		return nil, fmt.Errorf("%s: %w", dir, ErrGone)
	}
	return &Client{dir: dir, id: s.Keeper}, nil
}

// Status asks how the child is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	return c.do(ctx, order{Do: "status"})
}

// Wait returns when the child that runs now has ended, at once where none runs.
func (c *Client) Wait(ctx context.Context) (Status, error) { return c.do(ctx, order{Do: "wait"}) }

// Keep ends a child's trial: from now on it is started again when it ends, and now if it has ended.
func (c *Client) Keep(ctx context.Context) (Status, error) { return c.do(ctx, order{Do: "keep"}) }

// Restart ends the child, first with TERM, after grace with KILL, and returns when it has been
// started again. That is not counted as a restart.
func (c *Client) Restart(ctx context.Context, grace time.Duration) (Status, error) {
	return c.do(ctx, order{Do: "restart", Grace: grace})
}

// Stop ends the child, first with TERM, after grace with KILL, and returns when child and keeper are
// gone, which is no error if they were before. When ctx ends first the keeper still does it.
func (c *Client) Stop(ctx context.Context, grace time.Duration) error {
	if _, err := c.do(ctx, order{Do: "stop", Grace: grace}); err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	return poll(ctx, func() bool { return !c.id.Alive() })
}

// Kill ends the keeper, and with it the child, without asking; for a keeper that does not answer.
func (c *Client) Kill(ctx context.Context) error {
	if err := c.id.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing keeper %d: %w", c.id.PID, err)
	}
	return poll(ctx, func() bool { return !c.id.Alive() })
}

func (c *Client) do(ctx context.Context, o order) (Status, error) {
	var a answer
	err := c.exchange(ctx, o, &a)
	switch {
	case err == nil && a.Error != "":
		return a.Status, fmt.Errorf("keeper of %s, %s: %s", c.dir, o.Do, a.Error)
	case err == nil:
		return a.Status, nil
	case ctx.Err() != nil:
		return Status{}, fmt.Errorf("keeper of %s, %s: %w", c.dir, o.Do, ctx.Err())
	case !c.id.Alive() || brokeOff(err) && c.dies(ctx):
		return Status{}, fmt.Errorf("keeper of %s, %s: %w", c.dir, o.Do, ErrGone)
	}
	return Status{}, fmt.Errorf("keeper of %s, %s: %w", c.dir, o.Do, err)
}

// brokeOff tells whether nobody listened, or hung up without an answer. A keeper that lives answers.
func brokeOff(err error) bool {
	for _, e := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED, syscall.ENOENT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// dies tells whether the keeper ends soon: the connections of one that was killed end before itself.
func (c *Client) dies(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	return poll(ctx, func() bool { return !c.id.Alive() }) == nil
}

func (c *Client) exchange(ctx context.Context, o order, a *answer) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, a)
}

// dial connects to the socket and makes sure that it is the keeper on record that listens there.
func (c *Client) dial(ctx context.Context) (*net.UnixConn, error) {
	if !c.id.Alive() {
		return nil, ErrGone
	}
	conn, err := sockets.Dial(ctx, filepath.Join(c.dir, socketFile))
	if err != nil {
		return nil, err
	}
	pid, err := peer(conn)
	if err == nil && pid != c.id.PID {
		err = fmt.Errorf("process %d listens there, not keeper %d: %w", pid, c.id.PID, ErrGone)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// peer returns the process that listens at the other end of conn (SO_PEERCRED, unix(7)).
func peer(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	e := raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if e != nil {
		return 0, e
	}
	if err != nil {
		return 0, fmt.Errorf("asking who listens: %w", err)
	}
	return int(cred.Pid), nil
}
