package pipeline

import (
	"strings"

	"slipway/deploy"
)

// options are what a pusher may say with git push -o.
type options struct {
	bypass  bool
	reason  string
	verbose bool
}

// parseOptions reads push options. An unknown one is a rejection: a mistyped bypass must not deploy.
func parseOptions(given []string) (options, error) {
	var o options
	for _, s := range given {
		key, value, _ := strings.Cut(s, "=")
		switch key {
		case "bypass":
			o.bypass = true
		case "reason":
			o.reason = strings.TrimSpace(clean(value))
		case "verbose":
			o.verbose = true
		default:
			return o, deploy.Reject(deploy.CodeOption, "unknown push option %q", clean(s)).
				WithHint("known options: -o bypass -o reason=\"…\" (admins), -o verbose")
		}
	}
	if o.bypass && o.reason == "" {
		return o, deploy.Reject(deploy.CodeOption, "a bypass needs a reason").
			WithHint("git push -o bypass -o reason=\"why the tests are skipped\" …")
	}
	return o, nil
}

// clean removes control characters from text of a pusher that others will read.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, s)
}

func bypassForbidden() error {
	return deploy.Reject(deploy.CodeForbidden, "only an admin may bypass the gate").
		WithHint("push without -o bypass, or ask an admin to push it")
}

func frozen(s deploy.TargetState) error {
	r := deploy.Reject(deploy.CodeFrozen, "%s takes no deployments: %s", s.Target, s.Frozen)
	r.Line = s.Target.String() + " is frozen"
	return r.WithHint("frozen since %s; an admin lifts it with: slipway unfreeze %s", s.FrozenAt.UTC().Format("2006-01-02 15:04 UTC"), s.Target)
}

// stale tells a pusher that the ref has gone elsewhere, and the command that mends it.
func (p *Pipeline) stale(o deploy.Offer, now deploy.OID) error {
	short := o.Update.Ref.Short()
	r := deploy.Reject(deploy.CodeStale, "%s is no fast-forward of %s, which is %s now", o.Update.New.Short(), short, now.Short())
	r.Line = "fetch first: " + short + " is " + now.Short() + " now"
	return r.WithHint("git pull --rebase %s %s   then push again", p.Addresses.Clone(o.App), short)
}
