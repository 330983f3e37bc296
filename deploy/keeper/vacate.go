package keeper

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// patience is how much longer than its grace a keeper may take to stop before it is killed.
const patience = 5 * time.Second

// Vacate ends the keeper of dir, and with it the child, first with TERM, after grace with KILL. One
// that does not answer is killed, and one that is only starting is waited for. Until the returned
// closer is closed no keeper can start there. Where none runs there is nothing to do but to keep others
// out; where there is no folder, not even that.
func Vacate(ctx context.Context, dir string, grace time.Duration) (io.Closer, error) {
	var lock *os.File
	var failed error
	err := poll(ctx, func() bool {
		lock, failed = takeFolder(dir)
		if !errors.Is(failed, ErrRunning) {
			return true
		}
		c, err := Connect(dir)
		if errors.Is(err, ErrGone) {
			return false // it has the lock, and has not yet said who it is
		}
		if err == nil {
			err = c.end(ctx, grace)
		}
		failed = err
		return err != nil
	})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(failed, os.ErrNotExist):
		return io.NopCloser(nil), nil
	case failed != nil:
		return nil, failed
	}
	return lock, nil
}

// end stops the keeper, or kills it if it does not stop.
func (c *Client) end(ctx context.Context, grace time.Duration) error {
	asked, cancel := context.WithTimeout(ctx, grace+patience)
	defer cancel()
	if err := c.Stop(asked, grace); err == nil || ctx.Err() != nil {
		return err
	}
	return c.Kill(ctx)
}
