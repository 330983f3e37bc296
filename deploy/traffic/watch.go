package traffic

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// watch is a connection to a router that breaks when the router dies, hands over, or ends.
type watch struct {
	health Health
	ctx    context.Context // ends with the watch
	end    context.CancelCauseFunc
	lines  *bufio.Reader
	hung   *time.Timer
	done   chan struct{} // closed when it broke
	silent bool          // it did not break: the router said nothing for too long
}

// defaultSilence is how long a router may say nothing. It is far above the heartbeat, because a router on
// an overloaded machine must not be killed for being slow.
const defaultSilence = 12 * defaultHeartbeat

var errSilent = errors.New("the router does not answer")

// watch connects. The error is errSilent if a router is there and says nothing for the time of silence.
func (c *Client) watch(ctx context.Context, silence time.Duration) (*watch, error) {
	ctx, end := context.WithCancelCause(ctx)
	hung := time.AfterFunc(silence, func() { end(errSilent) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://router/watch", nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req) //nolint:bodyclose // the watch closes it when it ends
	if err != nil {
		end(nil)
		return nil, causeOr(ctx, err)
	}
	w := &watch{ctx: ctx, end: end, lines: bufio.NewReader(res.Body), hung: hung, done: make(chan struct{})}
	line, err := w.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &w.health)
	}
	if err != nil {
		end(nil)
		return nil, fmt.Errorf("watching the router: %w", errors.Join(causeOr(ctx, err), res.Body.Close()))
	}
	go func() {
		defer close(w.done)
		defer res.Body.Close()
		w.listen(silence)
		end(nil)
	}()
	return w, nil
}

func (w *watch) listen(silence time.Duration) {
	defer w.hung.Stop()
	for {
		if _, err := w.lines.ReadByte(); err != nil {
			w.silent = errors.Is(context.Cause(w.ctx), errSilent)
			return
		}
		w.hung.Reset(silence)
	}
}

func causeOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

func (w *watch) close() {
	w.end(nil)
	<-w.done
}
