// Package traffic brings HTTP requests to the instances of apps: the router, which is a process of
// its own so that apps answer whatever happens to the server, and the server's side of it.
//
// [Serve] is the router process. It looks a request's host name up in one immutable table and passes
// the request on. A switch replaces the table, so it is in force for every request from one instant
// on, and a request that was claimed for an instance before that instant keeps it until its answer
// is complete: the router can tell when an instance has drained.
//
// [Client] speaks to a router over its control socket, a unix socket that only its owner can open:
// [Client.Route] switches, [Client.Drain] waits, [Client.Counts] measures. [Supervisor] lives in the
// server. It adopts the router that runs, or starts one that outlives the server, gives it the table
// that the records tell, starts another at once when it dies, and replaces it by one of a new version
// with no request lost.
//
// # What survives what
//
//   - The server is killed: the router goes on with the table it has. The next server adopts it.
//   - The router is killed: requests in flight are lost with it. The server holds a duplicate of the
//     listening socket, so new connections wait in the kernel's queue until the next router, started
//     at once, takes them. It serves from its state file before the server has said a word.
//   - Both are killed: the next server starts a router, which serves the state file's table and then
//     the recorded one.
//   - A new version: the new router asks the old one for its listening socket and its table, and both
//     stand behind the same address until the old one has nothing left to do. As long as that takes, the new one
//     passes every switch on to it, and drains and counts over both.
//
// # What it does not do
//
// It keeps no records, chooses no release and probes nothing. It terminates no TLS. A request whose
// instance dies under it is answered with 502, not sent twice: only a request of which no byte can
// have reached an app is tried on another instance.
//
// Start reading at [Route], then proxy.go for a request's way, change.go for a switch, and
// handover.go for a new version.
package traffic
