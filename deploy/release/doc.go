// Package release makes releases of tested trees, runs them, and moves an app's traffic from one to
// the next. It has two engines with the same methods: [Local], for production on this machine, and
// [External], where production is elsewhere and the team's own command is the way there.
//
// A release is a numbered directory that nobody writes to any more, with the file REVISION inside. It
// is the very tree that was built and tested: it gets its name in one rename, after everything in it
// is on disk, so a crash leaves a whole release or none. An instance is a process of a release in a
// sandbox, kept by a keeper of its own (package keeper), so that it outlives the server:
//
//	apps/shop/releases/42/             the tree, with REVISION
//	apps/shop/current                  -> releases/42, once it is accepted
//	apps/shop/instances/42.json        what release 42 is and how it wants to be run
//	apps/shop/instances/42-web-1/      one instance: spec.json, the keeper's files, output.log
//	apps/shop/instances/quiet.json     which release serves, if it has no process with traffic
//	apps/shop/instances/external.json  which release was brought to production elsewhere
//	deployments/42/web.1.log           what an instance said last, after it was stopped
//
// The app's own variables are in spec.json only encrypted, and their values are kept out of output.log.
//
// Nothing is remembered but in these files, so every operation can be repeated by a server that finds
// it half done. The package decides nothing: whether a candidate is good, what to keep and when to go
// back is for its caller to say. One change of an app at a time is the caller's duty, too; looking
// ([Local.Instances], [Local.Inspect], [Local.Serving]) is safe at any time.
//
// Start reading at [Local.Start], then [Local.Switch] and [KeeperMain].
package release
