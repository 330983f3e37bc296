package traffic

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"slipway/deploy"
)

// Route says where the requests to an app go: to any of the instances of one release. Without
// upstreams the app is known and nothing serves it: a request is told that nothing is deployed yet.
type Route struct {
	App       deploy.AppName    `json:"app"`
	Release   deploy.Number     `json:"release,omitempty"`
	Upstreams []deploy.Instance `json:"upstreams,omitempty"`
}

var (
	// ErrServing is what [Client.Drain] returns for a release that requests are still sent to: it
	// would never stay drained.
	ErrServing = errors.New("the release still gets traffic")

	errInvalid = errors.New("invalid")
	errMoved   = errors.New("another router has taken over")
)

// InFlightError is what [Client.Drain] returns when requests were still in flight at the end of its
// time.
type InFlightError struct {
	App      deploy.AppName
	Release  deploy.Number
	Requests int64
}

// Error says how many requests there are.
func (e *InFlightError) Error() string {
	return fmt.Sprintf("%d requests are still in flight to release %s of %s", e.Requests, e.Release, e.App)
}

// check finds what no router could serve. Its errors wrap errInvalid.
func (r Route) check() error {
	if _, err := deploy.ParseAppName(string(r.App)); err != nil {
		return fmt.Errorf("%w route: %w", errInvalid, err)
	}
	if r.Release < 0 || r.Release == 0 && len(r.Upstreams) > 0 {
		return fmt.Errorf("%w route of %s: upstreams of no release", errInvalid, r.App)
	}
	for _, u := range r.Upstreams {
		if err := r.checkUpstream(u); err != nil {
			return fmt.Errorf("%w route of %s: %w", errInvalid, r.App, err)
		}
	}
	return nil
}

func (r Route) checkUpstream(u deploy.Instance) error {
	if u.App != r.App || u.Release != r.Release {
		return fmt.Errorf("instance %s/%s is none of release %s", u.App, u.Release, r.Release)
	}
	host, port, err := net.SplitHostPort(u.Addr)
	if err != nil || host == "" {
		return fmt.Errorf("%q is not the address of an instance", u.Addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port number", u.Addr)
	}
	return nil
}
