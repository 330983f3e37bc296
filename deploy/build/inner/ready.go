package inner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// The intervals between probes grow from the first to the last, so that an app which boots in 20 ms
// waits for no round second, and one which boots in a minute is not drowned in requests.
const (
	firstInterval = 5 * time.Millisecond
	lastInterval  = 500 * time.Millisecond
	probeTimeout  = 5 * time.Second
)

// prober asks an app whether it can serve.
type prober struct {
	addr string
	path string // "" means /up, then a TCP connection
}

// await probes at once and then at growing intervals until the app is ready, which is nil, or ctx
// ends, which is the last probe's error.
func await(ctx context.Context, p prober) error {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	last := errors.New("it was not asked")
	for interval := firstInterval; ; interval = min(2*interval, lastInterval) {
		err := p.probe(ctx, client)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err // what ctx's end broke off says nothing of the app
		}
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return last
		case <-timer.C:
		}
	}
}

// probe asks once. Below 400 is ready. Without a path of the app's own, any answer that is not the
// server's own failure is: an app that knows no /up still shows that it serves.
func (p prober) probe(ctx context.Context, client *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	path := p.path
	if path == "" {
		path = "/up"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+path, nil)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return p.connect(ctx, path, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode < 400 || p.path == "" && res.StatusCode < 500 {
		return nil
	}
	return fmt.Errorf("GET %s answered %s", path, res.Status)
}

// connect settles a probe that got no HTTP answer: with a path of its own the app has to speak HTTP,
// without one a connection is enough.
func (p prober) connect(ctx context.Context, path string, failed error) error {
	if errors.Is(failed, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens on %s ($PORT)", p.addr)
	}
	if p.path != "" || ctx.Err() != nil {
		if e, ok := errors.AsType[*url.Error](failed); ok {
			failed = e.Err // which leaves out the method and the address
		}
		return fmt.Errorf("GET %s: %w", path, failed)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", p.addr, err)
	}
	return conn.Close()
}
