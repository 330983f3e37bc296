package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"slipway/deploy"
)

func (h handlers) GetLog(ctx context.Context, r GetLogRequestObject) (GetLogResponseObject, error) {
	path, err := h.control.LogPath(ctx, callerOf(ctx), deploy.Number(r.Number), r.Stage)
	return served{requestOf(ctx), path, "text/plain; charset=utf-8"}, err
}

func (h handlers) GetMeasurements(ctx context.Context, r GetMeasurementsRequestObject) (GetMeasurementsResponseObject, error) {
	path, err := h.control.MeasurementsPath(ctx, callerOf(ctx), deploy.Number(r.Number))
	return served{requestOf(ctx), path, "application/jsonl"}, err
}

// served is a file as it is, or the parts of it that were asked for.
type served struct {
	request *http.Request
	path    string
	kind    string
}

func (s served) serve(w http.ResponseWriter) error {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return deploy.Reject(deploy.CodeNotFound, "nothing was written here, or it was pruned")
	}
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	w.Header().Set("Content-Type", s.kind)
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTime)); err != nil {
		return err
	}
	http.ServeContent(w, s.request, "", info.ModTime(), f)
	return nil
}

// fileTime is how long the reading of a file may take.
const fileTime = 10 * time.Minute

// VisitGetLogResponse implements the generated interface.
func (s served) VisitGetLogResponse(w http.ResponseWriter) error { return s.serve(w) }

// VisitGetMeasurementsResponse implements the generated interface.
func (s served) VisitGetMeasurementsResponse(w http.ResponseWriter) error { return s.serve(w) }

const (
	// streamTime is how long a stream may last: whoever connects again is asked for the token again.
	streamTime = 5 * time.Minute
	// slowTime is how long a reader may take to take something.
	slowTime = 10 * time.Second
	// beat is how often a reader that is told nothing is looked after.
	beat = 15 * time.Second
)

func (h handlers) StreamLog(ctx context.Context, r StreamLogRequestObject) (StreamLogResponseObject, error) {
	who, n := callerOf(ctx), deploy.Number(r.Number)
	if _, err := h.control.LogPath(ctx, who, n, r.Stage); err != nil {
		return nil, err
	}
	return stream{ctx: ctx, stopping: h.stopping, follow: func(ctx context.Context, send func([]byte, int64) error) error {
		return h.control.Follow(ctx, who, n, r.Stage, r.Params.LastEventID, send)
	}}, nil
}

// stream is a log as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type stream struct {
	ctx      context.Context
	stopping <-chan struct{}
	follow   func(context.Context, func(text []byte, next int64) error) error
}

// VisitStreamLogResponse implements the generated interface.
func (s stream) VisitStreamLogResponse(w http.ResponseWriter) error {
	ctx, cancel := context.WithTimeout(s.ctx, streamTime)
	defer cancel()
	out := &events{w: w, control: http.NewResponseController(w)}
	if err := out.control.SetReadDeadline(time.Time{}); err != nil { // nothing more is to be read
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx
	w.WriteHeader(http.StatusOK)
	if err := out.write("retry: 1000\n\n"); err != nil {
		return nil // the reader has gone
	}
	pieces, done := make(chan piece), make(chan error, 1)
	go func() {
		done <- s.follow(ctx, func(text []byte, next int64) error {
			select {
			case pieces <- piece{string(text), next}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return out.run(pieces, done, s.stopping)
}

type piece struct {
	text string
	next int64
}

// run writes pieces until there are no more, or the reader has gone or is too slow.
func (e *events) run(pieces <-chan piece, done <-chan error, stopping <-chan struct{}) error {
	quiet := time.NewTicker(beat)
	defer quiet.Stop()
	for {
		var err error
		select {
		case p := <-pieces:
			err = e.piece(p)
		case <-stopping:
			return nil
		case <-quiet.C:
			err = e.write(": still here\n\n")
		case err := <-done:
			if err == nil {
				_ = e.write("event: end\ndata: {}\n\n") // who has gone needs none
			}
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				return nil
			}
			return err
		}
		if err != nil {
			return nil // it can connect again, and goes on where it was
		}
	}
}

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e *events) piece(p piece) error {
	b, err := json.Marshal(map[string]string{"text": strings.ToValidUTF8(p.text, "\uFFFD")})
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("id: %d\nevent: text\ndata: %s\n\n", p.next, b))
}

func (e *events) write(s string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(slowTime)); err != nil {
		return err
	}
	if _, err := e.w.Write([]byte(s)); err != nil {
		return err
	}
	return e.control.Flush()
}
