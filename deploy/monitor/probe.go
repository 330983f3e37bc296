package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// probe is a request of our own and what came of it.
type probe struct {
	what    string // GET /up
	ok      bool
	status  int    // 0 if there was no answer
	problem string // why there was none
	took    time.Duration
}

// String says how it ended: "200 in 3 ms", or why not.
func (p probe) String() string {
	switch {
	case p.status != 0:
		return fmt.Sprintf("%d in %s", p.status, milliseconds(p.took))
	case p.ok:
		return "connected in " + milliseconds(p.took)
	}
	return p.problem
}

// blame says what was asked and what came of it: GET /up answered 500.
func (p probe) blame() string {
	if p.status != 0 {
		return fmt.Sprintf("%s answered %d", p.what, p.status)
	}
	return p.what + ": " + p.problem
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%d ms", max(d.Round(time.Millisecond).Milliseconds(), 1))
}

// probeAgent tells an app's log who asks.
const probeAgent = "slipway-monitor"

// prober asks an instance whether it serves, at its own address: users' requests go through the router
// and are counted there, probes are not.
type prober struct {
	client *http.Client
	addr   string
	path   string // asked for
	chosen bool   // by the manifest, so nothing else is tried
}

// newProber asks for a path; without one for /up, as long as the app knows it.
func newProber(client *http.Client, addr, path string) *prober {
	if path != "" {
		return &prober{client: client, addr: addr, path: path, chosen: true}
	}
	return &prober{client: client, addr: addr, path: "/up"}
}

// probe asks once. Whatever is answered below 500 shows that the app serves. An app that does not know
// /up is asked for its front page from then on, and one that does not speak HTTP passes by having taken
// the connection.
func (p *prober) probe(ctx context.Context) probe {
	r := get(ctx, p.client, "http://"+p.addr+p.path, "GET "+p.path)
	if p.chosen {
		return r
	}
	if r.status == http.StatusNotFound && p.path == "/up" {
		p.path = "/"
		return p.probe(ctx)
	}
	if r.problem == notHTTP {
		return connect(ctx, p.addr)
	}
	return r
}

const notHTTP = "it does not speak HTTP"

// connect only takes a connection.
func connect(ctx context.Context, addr string) probe {
	start := time.Now()
	p := probe{what: "connection"}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	p.took = time.Since(start)
	if err != nil {
		p.problem = problem(ctx, err, p.took)
		return p
	}
	conn.Close()
	p.ok = true
	return p
}

// The bounds of an answer's body: a page is read to its end, so that no app is left writing to a closed
// connection and complains in its log, but one that streams is not waited for.
const (
	maxBody  = 1 << 20
	bodyTime = time.Second
)

// get sends one request and waits for its answer.
func get(ctx context.Context, client *http.Client, url, what string) probe {
	r, _ := fetch(ctx, client, url, what)
	return r
}

// fetch sends one request and returns what comes of its answer's body within the bounds. A body that
// does not end in time is an answer, one that breaks off is not.
func fetch(ctx context.Context, client *http.Client, url, what string) (probe, []byte) {
	start := time.Now()
	p := probe{what: what}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		p.problem = clean(err.Error())
		return p, nil
	}
	req.Header.Set("User-Agent", probeAgent)
	res, err := client.Do(req)
	p.took = time.Since(start)
	if err != nil {
		p.problem = problem(ctx, err, p.took)
		return p, nil
	}
	defer res.Body.Close()
	p.status, p.ok = res.StatusCode, res.StatusCode < http.StatusInternalServerError
	enough := time.AfterFunc(bodyTime, func() { res.Body.Close() })
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if inTime := enough.Stop(); err != nil && inTime && ctx.Err() == nil {
		p.status, p.ok, p.problem = 0, false, fmt.Sprintf("its answer %d broke off", res.StatusCode)
	}
	return p, body
}

// problem says in few words why there was no answer.
func problem(ctx context.Context, err error, took time.Duration) string {
	var timeout net.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer within " + seconds(took)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "readLoopPeekFail"):
		return notHTTP // a server that speaks first is found out in one of two places
	}
	text := err.Error()
	if inner := errors.Unwrap(err); inner != nil {
		text = inner.Error() // without the address, which the reader knows
	}
	return clean(text)
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return milliseconds(d)
	}
	return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
}
