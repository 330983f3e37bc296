// Package control is what people may ask of a running server, whichever way they come: by a command over
// SSH or the server's own socket, by the API, or by the pages.
//
// Each method takes the [deploy.Caller], checks its rights, does what is asked and records it with the
// caller as actor. What it returns is for the caller's eyes: values of the domain, or a
// [*deploy.Rejection] that can be shown; every other error is a fault. To whom may not read an app, the
// app and its deployments do not exist.
//
// Who the caller is, is for those to prove who call it; words and flags, JSON and HTML are theirs as
// well. The package knows the other parts of the server as interfaces. Start reading at [Control], then
// rights.go.
package control
