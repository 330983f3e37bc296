package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"slipway/deploy"
	"slipway/deploy/sockets"
)

// Client speaks to the router behind a control socket. Its methods are safe for concurrent use. While
// no router answers, because one is being restarted or replaced, they wait for it, at most ten
// seconds; what they ask for can be asked twice.
//
// A client remembers the routes that it has put in force. They are newer than any record, since a
// switch is recorded after it was made, so [Supervisor] puts them above the recorded table when it
// tells a new router what to serve. That is why a server has one client and everything in it uses that.
type Client struct {
	socket   string
	patience time.Duration
	http     *http.Client

	turn  chan struct{}             // room for one: who has put something in may change the table
	known map[deploy.AppName]*Route // guarded by turn; nil: the app was removed
}

// NewClient returns a client of the router whose control socket is, or will be, at socket.
func NewClient(socket string) *Client { return newClient(socket, 10*time.Second) }

func newClient(socket string, patience time.Duration) *Client {
	return &Client{
		socket:   socket,
		patience: patience,
		turn:     make(chan struct{}, 1),
		known:    make(map[deploy.AppName]*Route),
		http: &http.Client{Transport: &http.Transport{
			// The router behind the name may be another one by the next call.
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return sockets.Dial(ctx, socket)
			},
		}},
	}
}

// Route sends the requests to an app to the upstreams of a release, all of them from one instant on,
// which has passed when it returns. Requests that were on their way to other instances end there: see
// [Client.Drain]. A route without upstreams makes requests be told that nothing is deployed. After an
// error the route may be in force or not.
func (c *Client) Route(ctx context.Context, route Route) error {
	end, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := c.call(ctx, "PUT", "/route", route, nil); err != nil {
		return fmt.Errorf("routing %s to release %s: %w", route.App, route.Release, err)
	}
	c.known[route.App] = &route
	return nil
}

// Remove makes an app unknown to the router: requests to it are answered with 404.
func (c *Client) Remove(ctx context.Context, app deploy.AppName) error {
	end, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := c.call(ctx, "DELETE", "/route?app="+url.QueryEscape(string(app)), nil, nil); err != nil {
		return fmt.Errorf("removing the route of %s: %w", app, err)
	}
	c.known[app] = nil
	return nil
}

// Routes returns the table in force, by the app's name.
func (c *Client) Routes(ctx context.Context) ([]Route, error) {
	var routes []Route
	if err := c.call(ctx, "GET", "/table", nil, &routes); err != nil {
		return nil, fmt.Errorf("reading the router's table: %w", err)
	}
	return routes, nil
}

// Routed returns the release of an app's route, which is the one that its requests go to; zero if
// there is none.
func (c *Client) Routed(ctx context.Context, app deploy.AppName) (deploy.Number, error) {
	routes, err := c.Routes(ctx)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(routes, func(r Route) bool { return r.App == app })
	if i < 0 {
		return 0, nil
	}
	return routes[i].Release, nil
}

// Drain waits until no request is in flight to the instances of a release that the table does not
// name any more, upgraded connections included. It returns an [InFlightError] if some still are after
// timeout, and [ErrServing] for a release whose instances all still get requests. A release that the
// router never had, or had long ago, is drained.
func (c *Client) Drain(ctx context.Context, app deploy.AppName, release deploy.Number, timeout time.Duration) error {
	var answer drainAnswer
	err := c.call(ctx, "POST", "/drain", drainRequest{App: app, Release: release, Timeout: timeout}, &answer)
	if err != nil {
		return fmt.Errorf("draining release %s of %s: %w", release, app, err)
	}
	if answer.InFlight > 0 {
		return &InFlightError{App: app, Release: release, Requests: answer.InFlight}
	}
	return nil
}

// Counts returns what was passed to an instance since a route first named it. A request that an
// instance refused and another one answered counts at both. One whose client went away before the
// answer counts as 4xx; one whose answer broke off in the middle counts as no answer; a connection
// that was upgraded counts as 1xx when it ends. Latencies are from the claim of the instance to its
// answer's header. Counts begin anew if the router is killed. The error is a deploy.ErrNotFound if the
// router does not know the instance.
func (c *Client) Counts(ctx context.Context, instance deploy.Instance) (deploy.TrafficCounts, error) {
	var counts deploy.TrafficCounts
	if err := c.call(ctx, "POST", "/counts", instance, &counts); err != nil {
		return counts, fmt.Errorf("reading the router's counts: %w", err)
	}
	return counts, nil
}

// Health returns what the router says of itself.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	if err := c.call(ctx, "GET", "/health", nil, &h); err != nil {
		return h, fmt.Errorf("asking for the router's health: %w", err)
	}
	return h, nil
}

// begin waits until nobody else changes the table.
func (c *Client) begin(ctx context.Context) (end func(), err error) {
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another change of the router's table: %w", ctx.Err())
	}
}

// replaceTable puts in force what recorded returns, with the routes that this client has put in force
// since above it. No Route comes between. It does not wait for a router.
func (c *Client) replaceTable(ctx context.Context, recorded func(context.Context) ([]Route, error)) error {
	end, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	routes, err := recorded(ctx)
	if err != nil {
		return fmt.Errorf("reading the recorded table: %w", err)
	}
	all := byApp(routes)
	for app, route := range c.known {
		if route == nil {
			delete(all, app)
		} else {
			all[app] = *route
		}
	}
	if err := c.once(ctx, "PUT", "/table", sorted(all), nil); err != nil {
		return fmt.Errorf("telling the router its table: %w", err)
	}
	return nil
}

// call does a request, again and again while there is no router or it has just handed over.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	give := time.NewTimer(c.patience)
	defer give.Stop()
	for delay := time.Millisecond; ; delay = min(2*delay, 100*time.Millisecond) {
		err := c.once(ctx, method, path, in, out)
		if err == nil || ctx.Err() != nil || !comesBack(err) {
			return err
		}
		again := time.NewTimer(delay)
		select {
		case <-again.C:
		case <-give.C:
			again.Stop()
			return err
		case <-ctx.Done():
			again.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}

// comesBack tells whether err may be over by itself: the connection failed or broke, or the router
// has handed over.
func comesBack(err error) bool {
	_, broken := errors.AsType[*url.Error](err)
	return broken || errors.Is(err, errMoved)
}

func (c *Client) once(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://router"+path, body)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errorOf(res)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return &url.Error{Op: method, URL: path, Err: err} // the router died while it answered
	}
	return nil
}

// errorOf is statusOf backwards.
func errorOf(res *http.Response) error {
	var answer errorAnswer
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		answer.Error = res.Status
	}
	kinds := map[int]error{
		http.StatusBadRequest: errInvalid,
		http.StatusNotFound:   deploy.ErrNotFound,
		http.StatusConflict:   ErrServing,
		http.StatusGone:       errMoved,
	}
	if kind := kinds[res.StatusCode]; kind != nil {
		return &routerError{text: answer.Error, kind: kind}
	}
	return fmt.Errorf("the router says: %s", answer.Error)
}

// routerError is an error that the router told, of a kind that errors.Is finds.
type routerError struct {
	text string
	kind error
}

func (e *routerError) Error() string { return e.text }
func (e *routerError) Unwrap() error { return e.kind }
