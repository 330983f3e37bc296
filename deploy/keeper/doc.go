// Package keeper keeps one process running from a small process of its own, as conmon and
// containerd's shim do, so that the kept process outlives the program that wanted it.
//
// A keeper lives in a folder. It starts its child through a function given by its caller, starts it
// again with growing pauses when it ends, and leaves in the folder everything a person or a program
// needs to know:
//
//	keeper.lock     locked by the keeper (flock) as long as it lives
//	keeper.sock     answers status, stop, restart, keep and wait
//	keeper.log      what the keeper itself had to say
//	state.json      who the keeper and its child are, how often it was restarted, how it ended last
//	output.log      what the child writes to stdout and stderr; output.log.1 is older, and so on
//
// [Spawn] starts a keeper that is detached from its parent, or adopts the one that runs in the folder
// already; [Connect] finds it again later, from another process too. Both believe a process only by
// its pid, its start time and the boot it was started in, and a socket only by the process that
// listens on it: a recycled pid is never taken for a keeper, and never signalled.
//
// When a keeper is killed its child dies with it: Start is always called on one thread that lives as
// long as the keeper, so that prctl's PR_SET_PDEATHSIG, which is about threads, does what it says.
//
// The package knows nothing of what it keeps. It runs no shell, makes no sandbox, and never deletes
// its folder. Start reading at [Run], then [Spawn] and [Client].
package keeper
