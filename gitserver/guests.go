package gitserver

import (
	"slices"
	"sync"
)

// guests are the connections: all of them, and those that have not signed in, the strangers. Whoever
// comes when there are as many strangers as may be takes the place of one: of the address with the most
// of them, the one that has been there longest. So a crowd that says nothing keeps nobody out. To sign in
// takes a fraction of a second, and a crowd has to come again faster than that to be in the way.
type guests struct {
	mu        sync.Mutex
	all       int
	strangers map[string][]*connection // by address, oldest first
}

// enter lets a connection in, as a stranger, and returns the one that has to go for it, or nil. It
// reports false if there is no room.
func (g *guests) enter(c *connection, limits Limits) (evicted *connection, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.strangers == nil {
		g.strangers = map[string][]*connection{}
	}
	switch {
	case len(g.strangers[c.ip]) >= limits.UnauthenticatedPerIP:
		evicted = g.strangers[c.ip][0]
	case g.all >= limits.Connections || g.count() >= limits.Unauthenticated:
		evicted = g.oldestOfMost()
		if evicted == nil {
			return nil, false
		}
	}
	if evicted != nil {
		g.forget(evicted)
		g.all--
	}
	g.all++
	g.strangers[c.ip] = append(g.strangers[c.ip], c)
	return evicted, true
}

func (g *guests) count() int {
	n := 0
	for _, of := range g.strangers {
		n += len(of)
	}
	return n
}

func (g *guests) oldestOfMost() *connection {
	var most []*connection
	for _, of := range g.strangers {
		if len(of) > len(most) {
			most = of
		}
	}
	if len(most) == 0 {
		return nil
	}
	return most[0]
}

// signIn makes a stranger a guest, unless it had to go meanwhile.
func (g *guests) signIn(c *connection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.guest = g.forget(c)
}

// leave ends a connection's stay.
func (g *guests) leave(c *connection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.guest || g.forget(c) {
		g.all--
	}
}

// forget takes a connection off the strangers, and reports whether it was one.
func (g *guests) forget(c *connection) bool {
	of := g.strangers[c.ip]
	i := slices.Index(of, c)
	if i < 0 {
		return false
	}
	if of = slices.Delete(of, i, i+1); len(of) == 0 {
		delete(g.strangers, c.ip)
	} else {
		g.strangers[c.ip] = of
	}
	return true
}
