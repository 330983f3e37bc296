package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Refusal says why a host may not be reached.
type Refusal struct {
	Host   string // host:port
	Reason string
}

// Error returns what the command reads.
func (r *Refusal) Error() string { return r.Host + " was refused: " + r.Reason }

const (
	notListed  = "it is not on the list of hosts that may be reached"
	notOutside = "its address %s is not on the outside; only naming the host itself on the list, without a wildcard, would allow it"
	badName    = "this is no host and port"
	tooMany    = "too many different hosts were asked for"
)

// maxHosts bounds what one socket remembers and logs.
const maxHosts = 4096

const (
	resolveTimeout = 20 * time.Second
	dialTimeout    = 20 * time.Second // for each address
)

// Resolver finds a host's addresses, as [net.Resolver] does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// guard decides which addresses may be dialed. It is safe for concurrent use.
type guard struct {
	rules    rules
	resolver Resolver
	own      func() ([]net.Addr, error) // this host's addresses
	dialer   net.Dialer
}

// route is a destination that may be dialed.
type route struct {
	host      string // host:port, in normal form
	addresses []netip.AddrPort
}

// find returns where target ("host:port") may be dialed, or a *Refusal, or the error of its name's
// resolution.
func (g *guard) find(ctx context.Context, target string) (route, error) {
	host, portText, err := net.SplitHostPort(target)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	host = normal(host)
	if err != nil || portErr != nil || port == 0 || !validHost(host) {
		return route{}, &Refusal{Host: fmt.Sprintf("%.100q", target), Reason: badName}
	}
	r := route{host: net.JoinHostPort(host, portText)}
	how := g.rules.match(host, portText)
	if how == unlisted {
		return r, &Refusal{Host: r.host, Reason: notListed}
	}
	addresses, err := g.resolve(ctx, host)
	if err != nil {
		return r, err
	}
	var refused netip.Addr
	for _, address := range addresses {
		if how == exactly || g.outside(address) {
			r.addresses = append(r.addresses, netip.AddrPortFrom(address, uint16(port)))
		} else {
			refused = address
		}
	}
	if len(r.addresses) == 0 {
		return r, &Refusal{Host: r.host, Reason: fmt.Sprintf(notOutside, refused)}
	}
	return r, nil
}

// resolve returns a host's addresses, those of version 4 first.
func (g *guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", host, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("finding %s: it has no address", host)
	}
	addresses := make([]netip.Addr, 0, len(found))
	for _, a := range found {
		addresses = append(addresses, a.Unmap())
	}
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return addresses, nil
}

// dial connects to the first of the route's addresses that answers.
func (g *guard) dial(ctx context.Context, r route) (net.Conn, error) {
	var failed []error
	for _, address := range r.addresses {
		attempt, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err := g.dialer.DialContext(attempt, "tcp", address.String())
		cancel()
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// outside tells whether an address belongs to somebody else on the internet.
func (g *guard) outside(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	for _, prefix := range reserved() {
		if prefix.Contains(a) {
			return false
		}
	}
	own, err := g.own()
	if err != nil {
		return false
	}
	for _, address := range own {
		network, ok := address.(*net.IPNet)
		if !ok {
			continue
		}
		if mine, ok := netip.AddrFromSlice(network.IP); ok && mine.Unmap() == a {
			return false
		}
	}
	return true
}

// reserved are the blocks of the IANA special-purpose registries (RFC 6890 and its successors) that
// netip does not name: some lead inside by way of a translator.
func reserved() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
		"3fff::/20", "5f00::/16", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
