// Package archive puts folders into one file and takes them out again, so that whoever takes them out
// knows that nothing is missing and nothing was changed on the way.
//
// The file is a tar(5) archive compressed by gzip, which every system can unpack. Its last entry,
// MANIFEST.json, lists every entry before it with its kind, its size and the SHA-256 of its content. An
// archive without it was cut off. The manifest proves that the archive is whole, not who wrote it.
//
// Folders that others write to meanwhile can be put in: a file that shrinks is filled up with zeros and
// one that disappears is left out, and both are told. The package knows nothing of what it keeps. Start
// reading at [Writer] and [Extract].
package archive
