package traffic

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"slipway/deploy"
)

// table says which app answers at which host name. It never changes once it is in force; a change
// is another table. What requests do to the instances is in the upstreams, which tables share.
type table struct {
	hosts map[string]*entry // by whole host name in lower case, so other names of an app fit in
	apps  map[deploy.AppName]*entry
}

// entry is an app in a table.
type entry struct {
	route     Route
	upstreams []*upstream // as route.Upstreams
	turn      atomic.Uint32
}

// newTable makes the table of routes, with the upstream that known returns for each instance.
func newTable(routes map[deploy.AppName]Route, domain string, known func(deploy.Instance) *upstream) *table {
	t := &table{
		hosts: make(map[string]*entry, len(routes)),
		apps:  make(map[deploy.AppName]*entry, len(routes)),
	}
	for app, route := range routes {
		e := &entry{route: route}
		for _, instance := range route.Upstreams {
			e.upstreams = append(e.upstreams, known(instance))
		}
		t.apps[app] = e
		t.hosts[string(app)+"."+domain] = e
	}
	return t
}

// routes returns a copy that the caller may change.
func (t *table) routes() map[deploy.AppName]Route {
	routes := make(map[deploy.AppName]Route)
	if t != nil {
		for app, e := range t.apps {
			routes[app] = e.route
		}
	}
	return routes
}

// sorted returns routes by the app's name.
func sorted(routes map[deploy.AppName]Route) []Route {
	list := make([]Route, 0, len(routes))
	for _, app := range slices.Sorted(maps.Keys(routes)) {
		list = append(list, routes[app])
	}
	return list
}

// lookup returns the entry of a request's host, or nil.
func (t *table) lookup(host string) *entry {
	if e, ok := t.hosts[hostName(host)]; ok {
		return e
	}
	return nil
}

// hostName returns the name in a Host header in lower case, without its port and a final dot.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// refusedFor is how long an upstream that refused a connection comes last among its peers.
const refusedFor = time.Second

// pick returns the upstream with the fewest requests in flight, in turn among equals, that is not
// among tried; nil if there is none.
func (e *entry) pick(tried []*upstream) *upstream {
	if len(e.upstreams) == 1 && len(tried) == 0 {
		return e.upstreams[0]
	}
	var best *upstream
	var least int64
	first := e.turn.Add(1)
	for i := range e.upstreams {
		u := e.upstreams[(int(first%uint32(len(e.upstreams)))+i)%len(e.upstreams)]
		if slices.Contains(tried, u) {
			continue
		}
		load := u.inFlight.now()
		if u.refusedLately() {
			load += 1 << 32
		}
		if best == nil || load < least {
			best, least = u, load
		}
	}
	return best
}
