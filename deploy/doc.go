// Package deploy is Slipway's domain: what a push to the gated branch is, what becomes of it, and
// the words every other package uses to speak of it.
//
// A [Push] carries ref updates. The update of the gated branch becomes an [Offer], and the offer a
// [Deployment], which goes through its stages in this order:
//
//	checkout → build → test (each set) → release → switch → monitor → accept
//
// Before the switch everything is free to fail, because nobody depends on it yet. From the switch on
// every way out either moves the ref or puts everything back. The one invariant: the gated ref on the
// server is the revision that was built, passed every test set, serves, and survived its watch.
//
// What the pushed revision did wrong is a [Rejection], the only error text a pusher reads. Any other
// error is a fault, which is ours. Everything that happens is an [Event]; the audit log of events is
// the truth, and rows, pages and recovery are derived from it.
//
// The package imports the standard library only, does no input or output, and starts nothing. Start
// reading at [Offer], then [Manifest], [Deployment] and [Event].
package deploy
