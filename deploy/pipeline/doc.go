// Package pipeline is the gate: it takes an offer, leads it through every stage, and answers when the
// ref has moved or everything is back as it was.
//
// [Pipeline.Admit] reads like the story it is. It opens a deployment, waits for its turn, prepares
// (checkout, build, test, release: free to fail, nobody depends on it yet), then tries (switch, watch,
// accept: every way out either moves the ref or puts everything back). [Pipeline.Settle] is the same
// story's other end: what a killed server left unfinished is settled before the first push is heard.
//
// The order in which things become true is the protocol that keeps Slipway's invariant:
//
//	ref locked, old value checked      (a git ref transaction, prepared)
//	switch.intended   on disk          → traffic to the candidate
//	switch.done       on disk          → watch
//	deployment.accepted on disk        the commit point
//	ref transaction committed          → ref.moved on disk
//
// or, at any failure after switch.intended,
//
//	rollback.intended on disk          → traffic to the previous release, verified
//	rollback.done     on disk          → candidate ended, ref lock released, deployment.rejected
//
// protocol.pml is that protocol as a model, which make model checks in every order of its steps, with the
// server killed in any of them.
//
// The package knows its stages by the interfaces in stages.go only; it starts no process, speaks no
// git and opens no socket. Start reading at admit.go.
package pipeline
