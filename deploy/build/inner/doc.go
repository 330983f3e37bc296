// Package inner is the small program that stands between the sandbox and a step's script where the
// script needs company: a way out of its network namespace, or the built app beside it.
//
// It runs inside the sandbox, as the payload, with the same rights as the script. So nothing here
// protects anything: what a step may reach is decided outside, by the egress proxy and the sandbox.
// It listens on the sandbox's own loopback and passes bytes on to the proxy's socket (forward.go),
// starts the app and waits until it is ready (app.go, ready.go), runs the script, ends the app, and
// exits as the script did. What only it can know, it tells the server in a [Report]. Programs that speak
// no HTTP have connect.go.
//
// Start reading at [Main] and [Plan]. The package imports the standard library only.
package inner
