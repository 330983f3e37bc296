// Package egress lets a command that has no network reach listed hosts of the outside: an HTTP proxy on a
// unix socket, for CONNECT tunnels and for plain HTTP, that can be mounted into a sandbox.
//
//	proxy := egress.New(egress.Config{Allow: []string{"*"}, Logger: logger})
//	socket, err := proxy.Listen(filepath.Join(dir, "egress.sock"), nil, log)
//	defer socket.Close()
//
// # What may be reached
//
// A list entry is a host ("modules.example.org"), a host with a port ("db.example.org:5432"), everything below
// a domain ("*.example.org", not example.org itself), or everything ("*"). An entry without a port is for
// every port. Addresses are written as such ("192.0.2.7", "[2001:db8::7]:443"). The lists are the operator's;
// nothing that a pusher writes may get into them.
//
// A name is resolved here, and exactly the addresses that were checked are dialed, so a second answer of
// its name server changes nothing. Addresses that are private, loopback, link-local, shared (CGNAT),
// multicast, unspecified, reserved, or this host's own are refused, also when a name on the list leads
// there, unless an entry names the host exactly, not by a wildcard: then the operator meant it.
//
// # What the log says
//
// One line for each host and port, the first time it is reached, refused, or does not answer:
//
//	egress: reached modules.example.org:443
//	egress: refused db.internal:5432: it is not on the list of hosts that may be reached
//
// # What it does not do
//
// It does not look into TLS, does not cache, and does not count bytes. It does not use a proxy upstream,
// because then it could not tell which address is dialed. It does not keep a tunnel's two ends from saying
// what they like: a listed host is trusted with whatever the command can read.
//
// The protocol is github.com/elazarl/goproxy's; its habit of taking an upstream proxy from the environment
// is off. Start reading at [Proxy.Listen], then at guard.go for what decides.
package egress
