package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"slipway/deploy"
	"slipway/deploy/keeper"
)

const (
	firstPause = time.Millisecond
	maxPause   = 250 * time.Millisecond
	// probeTime bounds one probe, so that a request that hangs is not the only one.
	probeTime = 5 * time.Second
	// defaultHealth is what an app is asked for that names no health path; it need not know it.
	defaultHealth = "/up"
	tailLines     = 20
)

func probeClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, // each probe is to find a living listener
			DialContext:       (&net.Dialer{}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// endedError says that an instance's process ended before it was ready.
type endedError struct{ how string }

func (e *endedError) Error() string { return "the process ended: " + e.how }

// awaitReady returns when the instance is ready. It probes at once and then at growing intervals, and
// fails with a rejection as soon as the process ends, or after the ready timeout; with errPortTaken
// where somebody else listens on the port; with ctx's error if that ended.
func (e *Local) awaitReady(ctx context.Context, s *spec, who string) error {
	c, err := keeper.Connect(s.folder)
	if err != nil {
		return err
	}
	limit := s.ReadyTimeout
	if s.Port == 0 {
		limit = e.config.Settle
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	watched, end := context.WithCancelCause(timed)
	defer end(nil)
	go func() {
		status, err := c.Wait(watched)
		if err == nil {
			err = &endedError{status.LastExit}
		}
		end(err)
	}()
	why := e.probe(watched, s)
	if ended := new(endedError); errors.As(context.Cause(watched), &ended) {
		return e.endedEarly(s, ended.how)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for process %s: %w", s.Instance.Process, context.Cause(ctx))
	case why == nil, s.Port == 0 && timed.Err() != nil:
		return nil
	case timed.Err() == nil: // the keeper is gone, or the port is a stranger's
		return fmt.Errorf("waiting for process %s: %w", s.Instance.Process, errors.Join(why, context.Cause(watched)))
	}
	return e.notReady(c, s, who, why)
}

// probe returns nil when the instance answers as it should, and otherwise what was wrong last when
// ctx ended. A process without traffic has nothing to ask; it is wrong until ctx ends.
func (e *Local) probe(ctx context.Context, s *spec) error {
	if s.Port == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	var last error
	for begin := time.Now(); ; {
		why := e.ask(ctx, s)
		if why == nil || errors.Is(why, errPortTaken) {
			return why
		}
		if ctx.Err() == nil || last == nil {
			last = why
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pause(begin)):
		}
	}
}

// pause is how long to wait before the next probe: a thirty-second of what has passed, so that what took
// 50 ms to become ready is found out within 2 ms. A probe that is refused takes a quarter of a
// millisecond.
func pause(begin time.Time) time.Duration {
	return min(max(time.Since(begin)/32, firstPause), maxPause)
}

// ask probes the instance once, and makes sure that it is the instance that answers. One that listens
// on the other loopback address gets that as its address.
func (e *Local) ask(ctx context.Context, s *spec) error {
	var first error
	for _, host := range []string{"127.0.0.1", "::1"} {
		why := e.get(ctx, address(host, s.Port), s.Health)
		if first == nil {
			first = why
		}
		if errors.Is(why, syscall.ECONNREFUSED) || errors.Is(why, syscall.EADDRNOTAVAIL) {
			continue
		}
		if e.takenByStranger(s) {
			return errPortTaken
		}
		if why != nil {
			return why
		}
		if host != "127.0.0.1" && e.get(ctx, address("127.0.0.1", s.Port), s.Health) == nil {
			host = "127.0.0.1" // it began to listen on both after the first was refused
		}
		return s.setHost(host)
	}
	if errors.Is(first, syscall.ECONNREFUSED) {
		return errNoListener
	}
	return first
}

// takenByStranger tells whether a process that is none of the instance's listens on its port.
func (e *Local) takenByStranger(s *spec) bool {
	usage, err := e.config.Sandbox.Usage(s.Sandbox.Name)
	if err != nil {
		usage.PIDs = nil
	}
	owner, _, err := e.whose(s, usage.PIDs)
	return err == nil && owner == stranger
}

// setHost notes on which of the loopback addresses the instance listens.
func (s *spec) setHost(host string) error {
	if s.Instance.Addr == address(host, s.Port) {
		return nil
	}
	s.Instance.Addr = address(host, s.Port)
	if err := s.write(); err != nil || s.Trial {
		return err
	}
	return s.sync()
}

var errNoListener = errors.New("nothing listens on its port")

// get asks for the health path once. Without one, an app that does not know /up is ready, too: it took
// the connection and spoke HTTP.
func (e *Local) get(ctx context.Context, addr, path string) error {
	asked := path
	if asked == "" {
		asked = defaultHealth
	}
	if !strings.HasPrefix(asked, "/") {
		asked = "/" + asked
	}
	probing, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(probing, http.MethodGet, "http://"+addr+asked, nil)
	if err != nil {
		return fmt.Errorf("GET %s: %w", asked, err)
	}
	req.Header.Set("User-Agent", "slipway-ready")
	resp, err := e.client.Do(req)
	switch {
	case err == nil:
	case errors.Is(err, syscall.ECONNREFUSED):
		return err
	case ctx.Err() == nil && probing.Err() != nil:
		return fmt.Errorf("GET %s did not answer within %s", asked, probeTime)
	default:
		return fmt.Errorf("GET %s: %w", asked, cause(err))
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
	if resp.StatusCode < 400 || path == "" && resp.StatusCode < 500 {
		return nil
	}
	return fmt.Errorf("GET %s answered %d", asked, resp.StatusCode)
}

// cause drops the address and the method, which the reader knows, from an HTTP client's error.
func cause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// endedEarly makes the rejection for a process that ended before it was ready, unless it did because
// its port was taken.
func (e *Local) endedEarly(s *spec, how string) error {
	if s.Port != 0 {
		if owner, _, err := whoListens(s.Port, none); err == nil && owner == stranger {
			return errPortTaken
		}
	}
	if text, ok := strings.CutPrefix(how, keeper.NotStarted); ok {
		return fmt.Errorf("starting process %s of release %s: %s", s.Instance.Process, s.Instance.Release, text)
	}
	r := &deploy.Rejection{Code: deploy.CodeReady, Tail: lastLines(s.folder, tailLines), Line: "process " + s.Instance.Process + " exited before it was ready"}
	switch {
	case strings.HasPrefix(how, "exit status"):
		r.Message = fmt.Sprintf("process %s exited with %s before it was ready", s.Instance.Process, how)
	case strings.HasPrefix(how, "killed"):
		r.Message = fmt.Sprintf("process %s was %s before it was ready", s.Instance.Process, how)
	default:
		r.Code = deploy.CodeLimit
		r.Message = fmt.Sprintf("process %s ended before it was ready: %s", s.Instance.Process, how)
	}
	return r
}

// notReady makes the rejection for an instance that ran, but was not ready in time.
func (e *Local) notReady(c *keeper.Client, s *spec, who string, why error) error {
	r := &deploy.Rejection{Code: deploy.CodeReady, Tail: lastLines(s.folder, tailLines)}
	said := why.Error()
	if errors.Is(why, errNoListener) {
		said = fmt.Sprintf("process %s does not listen on port %d", s.Instance.Process, s.Port)
		r.Hint = fmt.Sprintf("it has to listen on 127.0.0.1 at the port that the variable PORT names; it was started with PORT=%d", s.Port)
		others := slices.DeleteFunc(portsOf(e.pidsOf(c, s)), func(p int) bool { return p == s.Port })
		if len(others) > 0 {
			r.Hint += " and listens on " + join(others)
		}
	}
	r.Message = fmt.Sprintf("%s did not become ready within %s: %s", who, span(s.ReadyTimeout), said)
	r.Line = "not ready: " + said
	return r
}

func join(ports []int) string {
	var all []string
	for _, p := range ports {
		all = append(all, strconv.Itoa(p))
	}
	return strings.Join(all, ", ")
}

// span writes a duration without units that are zero: 1m, not 1m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
