// Package gitserver speaks SSH and git to the outside. It lets those in whom a [Directory] knows,
// starts the git program for them, and hands every update of an app's gated branch to a [Gate], which
// decides whether the branch moves, and moves it. It knows no stage of a deployment.
//
// # A push
//
// Git's own receive-pack takes the objects in and checks them. Then, once they are in the repository
// for good, it starts its proc-receive hook (githooks(5)) for all ref updates together: a program that
// does nothing but carry bytes between git and this server (package hook). The server knows the push
// by a random token in git's environment, and answers for each ref:
//
//	refs/heads/main      Gate.Check, then Gate.Admit, which may take minutes and moves the ref
//	everything else      moved at once, as git would
//
// So one push can have both, the gate's own words stand in "! [remote rejected] main -> main (…)", and
// a push that was made on top of one still being decided can be accepted after it. There is no
// pre-receive hook: it can refuse a whole push only, always as "pre-receive hook declined", and what
// it would keep out of the repository is pruned later anyway. An atomic push moves all of its refs or
// none: the others are locked, and known to be free to move, before the gate is asked.
//
// What is printed for the pusher: "slipway: " and a line for what this package refuses, on the
// progress stream of the push or on standard error; the gate prints what it likes. All of it is
// stripped of what a terminal would obey, colours excepted.
//
// # A client that leaves
//
// Git is never killed while it receives, because its hook, and what waits behind it, would go on
// without it. Its output is always read, and its hook always answered. That the pusher has gone is
// told to the gate by the end of Admit's context: when the session's channel is closed, the client
// answers no keepalive, or reads nothing for [Limits.Stall]; and when the server shuts down. A client
// that asked for no report hangs up right after its pack, and still means it.
//
// # Where to start reading
//
// [Server.Run] listens; a connection (connection.go, signin.go) opens channels (channel.go), each of
// which is a session (session.go) that runs a fetch (upload.go), a push (receive.go, procreceive.go,
// decide.go), or a command of [Commands].
package gitserver
