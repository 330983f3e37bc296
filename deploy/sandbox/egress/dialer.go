package egress

import (
	"context"
	"fmt"
	"net"
)

// Dialer returns a dial function for requests that the server makes itself, to addresses that somebody
// it does not trust has written. It reaches what a socket of Listen with the same allow would, and
// refuses the rest with a *Refusal. The error is for an allow that cannot be read.
func (p *Proxy) Dialer(allow []string) (func(ctx context.Context, network, target string) (net.Conn, error), error) {
	list, err := parseRules(append(append([]string{}, p.config.Allow...), allow...))
	if err != nil {
		return nil, fmt.Errorf("reading the list of allowed hosts: %w", err)
	}
	g := &guard{rules: list, resolver: p.config.Resolver, own: net.InterfaceAddrs}
	return func(ctx context.Context, _, target string) (net.Conn, error) {
		route, err := g.find(ctx, target)
		if err != nil {
			return nil, err
		}
		return g.dial(ctx, route)
	}, nil
}
