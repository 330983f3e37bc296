package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// The classes of an answer, beside those by its first digit.
const (
	classNone   = 0 // the instance gave no answer, or broke off in its middle
	classClient = 4 // the client went away first; nginx writes 499
)

var errBrokenRequest = errors.New("the client broke off its request")

// maxAttempts bounds how many instances a request is tried on.
const maxAttempts = 8

// RoundTrip passes a request of the reverse proxy to an instance of the app that its host names. The
// claim of the instance ends when the answer's body is closed. An instance that refuses the connection
// has seen nothing of the request, so another one is tried: of the same table, or of the one that a
// switch has just made.
func (r *router) RoundTrip(req *http.Request) (*http.Response, error) {
	var tried []*upstream
	for {
		u, err := r.claim(req.Context(), req.Host, tried)
		if err != nil {
			return nil, err
		}
		res, err := pass(u, req)
		if err == nil {
			return res, nil
		}
		r.report(u, req, err)
		if _, refused := errors.AsType[*dialError](err); !refused || req.Context().Err() != nil {
			return nil, err
		}
		u.refused()
		if tried = append(tried, u); len(tried) == maxAttempts {
			return nil, err
		}
	}
}

// pass sends req to u, which the caller has claimed, and ends the claim if there is no answer.
func pass(u *upstream, req *http.Request) (*http.Response, error) {
	attempt := req
	var body *requestBody
	if req.Body != nil && req.Body != http.NoBody {
		body = &requestBody{source: req.Body}
		attempt = new(http.Request)
		*attempt = *req
		attempt.Body = body
	}
	attempt.URL.Host = u.instance.Addr
	start := time.Now()
	res, err := u.transport.RoundTrip(attempt)
	if err != nil {
		if body != nil && body.broken.Load() {
			err = fmt.Errorf("%w: %w", errBrokenRequest, err)
		}
		u.leave(failureClass(req.Context(), err))
		return nil, err
	}
	u.latencies.add(time.Since(start))
	a := &answer{ReadCloser: res.Body, ctx: req.Context(), upstream: u}
	a.class.Store(int32(min(max(res.StatusCode/100, 1), 5)))
	res.Body = a
	if rw, ok := a.ReadCloser.(upgradedConn); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &upgraded{answer: a, conn: rw}
	}
	return res, nil
}

// failureClass tells whose fault it is that there is no answer.
func failureClass(ctx context.Context, err error) int {
	if ctx.Err() != nil || errors.Is(err, errBrokenRequest) {
		return classClient
	}
	return classNone
}

// requestBody is a request's body in one attempt. Closing it ends the attempt's reading and leaves the
// source to the next one; the server closes the source.
type requestBody struct {
	source io.Reader
	closed atomic.Bool
	broken atomic.Bool // the client stopped in its middle
}

func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.source.Read(p)
	if err != nil && err != io.EOF {
		b.broken.Store(true)
	}
	return n, err
}

func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// answer is the body of an instance's answer. Its end is the end of the claim.
type answer struct {
	io.ReadCloser
	ctx      context.Context // the client's
	upstream *upstream
	class    atomic.Int32
	ended    atomic.Bool
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && err != io.EOF && a.ctx.Err() == nil {
		a.class.Store(classNone)
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	if a.ended.CompareAndSwap(false, true) {
		a.upstream.leave(int(a.class.Load()))
	}
	return err
}

// upgradedConn is what http.Transport returns as the body after 101 Switching Protocols.
type upgradedConn interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// upgraded is a connection that has switched protocols. How it ends says nothing about the instance.
type upgraded struct {
	answer *answer
	conn   upgradedConn
}

func (u *upgraded) Read(p []byte) (int, error)  { return u.conn.Read(p) }
func (u *upgraded) Write(p []byte) (int, error) { return u.conn.Write(p) }
func (u *upgraded) CloseWrite() error           { return u.conn.CloseWrite() }
func (u *upgraded) Close() error                { return u.answer.Close() }
