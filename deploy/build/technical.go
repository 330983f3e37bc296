package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/sandbox"
	"slipway/deploy/sandbox/egress"
)

// What fails for reasons outside the revision is told apart: a service that a test set requires, or a
// host that a step with network was let down by. Both are a [deploy.Rejection] with CodeTechnical.

// passing matches why a host could not be reached where trying again may help. A name that does not
// exist is not among them: that is more likely a mistake in the revision.
var passing = regexp.MustCompile(`timeout|timed out|deadline exceeded|connection refused|connection reset|network is unreachable|no route to host|server misbehaving|temporary failure|unexpected EOF|: EOF$`)

// letDown is the technical failure of a step that failed after hosts had not answered.
func (w words) letDown(r sandbox.Result, silent, tail []string) *deploy.Rejection {
	return &deploy.Rejection{
		Code:    deploy.CodeTechnical,
		Message: fmt.Sprintf("%s failed (%s) because %s did not answer", w.subject, r, strings.Join(silent, ", ")),
		Line:    w.line + ": a host did not answer",
		Tail:    tail,
	}
}

// requireTimeout is how long a required service may take to accept a connection.
const requireTimeout = 5 * time.Second

// require looks whether the services that a test set requires answer. They are dialed as the set could
// itself: what the operator does not allow is refused.
func (b *Builder) require(ctx context.Context, job *deploy.Job, set deploy.TestSet, log io.Writer) error {
	if len(set.Requires) == 0 {
		return nil
	}
	dial, err := b.dialer(job.App.Name)
	if err != nil {
		return err
	}
	for _, service := range set.Requires {
		err := answers(ctx, dial, service)
		if refused, ok := errors.AsType[*egress.Refusal](err); ok {
			return deploy.Reject(deploy.CodeTest, "test set %q requires %s: %s", set.Name, service, refused).
				WithHint("the operator lists the hosts that may be reached")
		}
		if err != nil {
			fmt.Fprintf(log, "required service %s: %v\n", service, err)
			return &deploy.Rejection{
				Code:    deploy.CodeTechnical,
				Message: fmt.Sprintf("test set %q did not run: %s, which it requires, does not answer", set.Name, service),
				Line:    "test " + set.Name + ": a required service does not answer",
				Tail:    []string{oneLine(err.Error())},
			}
		}
		fmt.Fprintf(log, "required service %s answers\n", service)
	}
	return nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (b *Builder) dialer(app deploy.AppName) (dialFunc, error) {
	if b.config.Egress == nil {
		var d net.Dialer
		return d.DialContext, nil
	}
	return b.config.Egress.Dialer(b.config.EgressFor(app))
}

func answers(ctx context.Context, dial dialFunc, service string) error {
	ctx, cancel := context.WithTimeout(ctx, requireTimeout)
	defer cancel()
	conn, err := dial(ctx, "tcp", strings.TrimPrefix(service, "tcp://"))
	if err != nil {
		return err
	}
	return conn.Close()
}
