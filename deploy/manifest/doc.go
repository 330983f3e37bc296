// Package manifest learns from a work tree how its app is built, tested, run and watched.
//
// A tree says so in slipway.toml, which [Parse] reads strictly: an unknown key, a wrong type or a
// value out of range is a mistake, and all mistakes of a file are told at once, each with its line
// and column, what was found and what was expected. A tree without one is understood by convention:
// a Procfile is honoured unchanged, and go.mod, package.json, requirements.txt, pyproject.toml,
// Makefile targets and an index.html tell the rest. [Read] does both, and [Format] writes a manifest
// as the slipway.toml that means the same, so that what was detected can be copied and changed.
//
// Everything that is read was written by the pusher. The package reads regular files of the tree
// only, follows no symbolic link out of it, bounds what it reads, and runs nothing. Whatever is wrong
// is a [deploy.Rejection] with [deploy.CodeManifest]; another error means that the tree could not be
// read.
//
// Start reading at [Read], then reader, whose methods are the manifest's sections.
package manifest
