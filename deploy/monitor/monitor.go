package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"slipway/deploy"
)

// Instances tells what can be seen of an instance from outside.
type Instances interface {
	Inspect(context.Context, deploy.Instance) (deploy.InstanceState, error)
}

// Counters tells what the router has passed to an instance.
type Counters interface {
	Counts(context.Context, deploy.Instance) (deploy.TrafficCounts, error)
}

// Config is what a monitor works with. Instances and Counters may be nil only where every production
// is elsewhere.
type Config struct {
	Instances Instances
	Counters  Counters
	Logger    *slog.Logger // nil for none

	// Transport sends the probes to instances; nil for one of the monitor's own, which asks no proxy
	// and keeps no connection.
	Transport http.RoundTripper
	// Client asks a production that is elsewhere. Its addresses are written by the pusher, so it
	// decides what may be reached from this machine. Nil for a plain one.
	Client *http.Client
	// ProbeTimeout is how long a probe may take; zero for three seconds.
	ProbeTimeout time.Duration
}

// Monitor watches candidates. It is safe for concurrent use.
type Monitor struct {
	config  Config
	probes  *http.Client
	outside *http.Client
}

// New makes a monitor. It starts nothing.
func New(c Config) *Monitor {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ProbeTimeout <= 0 {
		c.ProbeTimeout = 3 * time.Second
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			DialContext:            (&net.Dialer{}).DialContext,
			DisableKeepAlives:      true, // each probe shows that connections are accepted
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	if c.Client == nil {
		c.Client = &http.Client{}
	}
	outside := *c.Client
	outside.CheckRedirect = noRedirect
	return &Monitor{config: c, probes: &http.Client{Transport: c.Transport, CheckRedirect: noRedirect}, outside: &outside}
}

// noRedirect makes a redirect an answer like any other: it shows that the app serves.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Subject is what is to be watched.
type Subject struct {
	Candidate deploy.Candidate
	Manifest  *deploy.Manifest
	// Decide is false for a bypass: the watch runs to its end and records what it sees, and whoever
	// called it heeds no verdict.
	Decide bool
}

// Watch watches until the bake time is over or a failure is certain. It calls report after each look,
// one call at a time, before it goes on. It returns an error, along with what it has seen so far, when
// ctx ends, or when what it needs to judge could not be had: that is a fault of ours, not the
// candidate's.
func (m *Monitor) Watch(ctx context.Context, s Subject, report func(deploy.Measurement)) (deploy.WatchResult, error) {
	checks, err := newChecks(s)
	if err == nil && len(s.Candidate.Instances) == 0 && !s.Manifest.External() {
		err = errors.New("the candidate has no instances")
	}
	if err != nil {
		return deploy.WatchResult{}, fmt.Errorf("watching release %s: %w", s.Candidate.Release.Number, err)
	}
	w := newWatch(m, s, checks)
	defer w.close()
	if err := w.run(ctx, report); err != nil {
		return w.result(), fmt.Errorf("watching release %s: %w", s.Candidate.Release.Number, err)
	}
	return w.result(), nil
}
