package egress

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// rule is one entry of an allow-list.
type rule struct {
	name   string // host, without "*."; empty for "*"
	port   string // empty for every port
	suffix bool   // everything below name
}

// rules is an allow-list.
type rules []rule

// answer is what an allow-list says of a host.
type answer int

const (
	unlisted answer = iota
	byWildcard
	exactly
)

// parseRules reads list entries, see the package comment.
func parseRules(entries []string) (rules, error) {
	var list rules
	for _, entry := range entries {
		r := rule{name: entry}
		if host, port, err := net.SplitHostPort(entry); err == nil {
			r.name, r.port = host, port
		}
		r.name = strings.Trim(r.name, "[]")
		if r.name == "*" {
			r.name, r.suffix = "", true
		} else if name, found := strings.CutPrefix(r.name, "*."); found {
			r.name, r.suffix = name, true
		}
		r.name = normal(r.name)
		if (r.name != "" || !r.suffix) && !validHost(r.name) {
			return nil, fmt.Errorf("%q is no host: want host, host:port, *.domain or *", entry)
		}
		if _, err := strconv.ParseUint(r.port, 10, 16); err != nil && (r.port != "" || strings.HasSuffix(entry, ":")) {
			return nil, fmt.Errorf("%q has no port number after the colon", entry)
		}
		list = append(list, r)
	}
	return list, nil
}

// match tells whether and how the list names a host, both in normal form.
func (l rules) match(host, port string) answer {
	best := unlisted
	for _, r := range l {
		if r.port != "" && r.port != port {
			continue
		}
		switch {
		case !r.suffix && r.name == host:
			return exactly
		case r.suffix && (r.name == "" || strings.HasSuffix(host, "."+r.name)):
			best = byWildcard
		}
	}
	return best
}

// normal writes a host in one way only: lower case, no final dot, addresses in their shortest form.
func normal(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return host
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// validHost keeps what no host name holds out of name servers and logs.
func validHost(host string) bool {
	if isAddress(host) {
		return true
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for _, c := range []byte(host) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
