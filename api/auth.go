package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/deploy"
)

type (
	callerKey  struct{}
	requestKey struct{}
)

// requestOf returns the request that is answered.
func requestOf(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}

// callerOf returns who asks. Behind signedIn there always is somebody.
func callerOf(ctx context.Context) deploy.Caller {
	who, _ := ctx.Value(callerKey{}).(deploy.Caller)
	return who
}

// signedIn lets through who has a token that is good, or is signed in with a browser.
func (s *Server) signedIn(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, err := s.identify(c)
		if err != nil {
			return err
		}
		ctx := context.WithValue(c.Request().Context(), callerKey{}, who)
		ctx = context.WithValue(ctx, requestKey{}, c.Request())
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

func (s *Server) identify(c echo.Context) (deploy.Caller, error) {
	r := c.Request()
	given := r.Header.Get(echo.HeaderAuthorization)
	if given == "" && s.config.Session != nil {
		if who, ok := s.config.Session(r); ok {
			// A browser sends its cookie also when another site makes it ask.
			if err := http.NewCrossOriginProtection().Check(r); err != nil {
				return deploy.Caller{}, deploy.Reject(deploy.CodeForbidden, "this was asked for by another site")
			}
			return who, nil
		}
	}
	if given == "" {
		return deploy.Caller{}, deploy.Reject(deploy.CodeUnauthorized, "a token is needed").
			WithHint("send it as Authorization: Bearer slipway_…; make one with: ssh HOST token create NAME")
	}
	scheme, secret, _ := strings.Cut(given, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		secret = ""
	}
	who, _, err := s.config.Control.CallerByToken(r.Context(), strings.TrimSpace(secret), c.RealIP(), "api")
	if _, refused := deploy.AsRejection(err); !refused {
		return who, err
	}
	return deploy.Caller{}, s.refused(c, strings.TrimSpace(secret), err)
}

// refused counts an attempt that failed, and has it recorded.
func (s *Server) refused(c echo.Context, secret string, err error) error {
	if lost := s.config.Control.SignInFailed(c.Request().Context(), secret, c.RealIP(), "api"); lost != nil {
		return lost
	}
	wait, many := s.failures.add(c.RealIP(), time.Now())
	if many {
		c.Response().Header().Set(echo.HeaderRetryAfter, wait)
		return echo.NewHTTPError(http.StatusTooManyRequests, "too many attempts from where you are")
	}
	return err
}

// TooMany counts a failed sign-in that the pages saw, and tells whether there were too many.
func (s *Server) TooMany(ip string) bool {
	_, many := s.failures.add(ip, time.Now())
	return many
}

const (
	maxFailures   = 10          // of one source, before it has to wait
	failureWindow = time.Minute // for so long
	maxSources    = 10_000      // that are remembered
)

// failures counts attempts without a right token by where they come from. A right token always gets in:
// people who share an address with somebody who guesses are not kept out.
type failures struct {
	mu     sync.Mutex
	counts map[string]failed
}

type failed struct {
	n     int
	until time.Time
}

func newFailures() *failures { return &failures{counts: map[string]failed{}} }

// add counts one, and tells whether there were too many, and for how many seconds to wait then.
func (f *failures) add(ip string, now time.Time) (wait string, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.counts) >= maxSources {
		f.forget(now)
	}
	source := network(ip)
	one := f.counts[source]
	if now.After(one.until) {
		one = failed{until: now.Add(failureWindow)}
	}
	one.n++
	f.counts[source] = one
	return "60", one.n > maxFailures
}

func (f *failures) forget(now time.Time) {
	for source, one := range f.counts {
		if now.After(one.until) {
			delete(f.counts, source)
		}
	}
	if len(f.counts) >= maxSources {
		clear(f.counts)
	}
}

// network is what one source has: an address of IPv4, 64 bits of one of IPv6.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return ip
	}
	return p.String()
}
