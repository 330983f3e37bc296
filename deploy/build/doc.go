// Package build runs a deployment's steps in the sandbox: the build, the test sets, and the commands of
// hooks, releases and deployments elsewhere.
//
// A step is shell commands with limits. It runs in the work tree, which is writable at /app, with the
// app's cache at /cache as its HOME, so that go, npm and pip keep what they fetched without being
// configured; with a private /tmp; with an environment made for it alone; and without network. A step
// that is to have one reaches hosts through the egress proxy: a socket of it is mounted, and the program
// of package inner makes HTTP_PROXY of it. The same program runs the built app beside a test set that
// asks for it.
//
// What a step prints goes to its log while it runs, up to a size, and is drained beyond it. A step that
// fails is a [deploy.Rejection], which tells how it ended and holds its last lines: cause, not symptom,
// so a limit that struck is named, and an app that did not become ready is not called a failed test. A
// step that could not be run at all is any other error. When a step has ended all its processes are
// gone.
//
// Two steps of a deployment may run at the same time, in the same tree and cache. The package does not
// decide what runs when, and records nothing; that is the pipeline's.
//
// Start reading at [Builder], then [Builder.Build] and step.go.
package build
