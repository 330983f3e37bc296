package webui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// streamTime is how long a stream may last: whoever connects again is asked anew who it is.
	streamTime = 5 * time.Minute
	// slowTime is how long a reader may take to take something. One that is slower connects again, and goes
	// on where it was.
	slowTime = 10 * time.Second
	// beat is how often a reader that is told nothing is looked after.
	beat = 15 * time.Second
)

// stream writes server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each
// carries what its reader has after it, as its id; a browser that comes again sends the last one.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration // with a slow reader
	at       position
}

// begun answers a request by a stream. It goes on from the last event's id, else from what the page had.
func (s *Site) begun(w http.ResponseWriter, r *http.Request) (*stream, error) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.FormValue("at")
	}
	out := &stream{w: w, control: http.NewResponseController(w), patience: s.patience, at: readPosition(id)}
	if err := out.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) { // nothing more is to be read
		return nil, err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx
	w.WriteHeader(http.StatusOK)
	return out, out.write("retry: 1000\n\n")
}

// send writes an event.
func (s *stream) send(event string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", s.at, event, b))
}

// part sends a part of the page if its reader does not have it as it is.
func (s *stream) part(p livePart) error {
	if !s.at.sent(p.ID, p.sum) {
		return nil
	}
	return s.send("part", p)
}

func (s *stream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// run calls tell again and again until it has told all, the reader has gone or is too slow, or streams have
// to end. Only the first has its end told: all others come again.
func (s *stream) run(ctx context.Context, every time.Duration, stopping <-chan struct{}, tell func(context.Context) (ended bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	look := time.NewTicker(every)
	defer look.Stop()
	quiet := time.NewTicker(beat)
	defer quiet.Stop()
	for {
		ended, err := tell(ctx)
		if ended && err == nil {
			err = s.send("end", struct{}{})
		}
		if ended || err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-look.C:
		case <-quiet.C:
			if err := s.write(": still here\n\n"); err != nil {
				return err
			}
		case <-stopping:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
