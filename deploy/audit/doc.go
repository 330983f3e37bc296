// Package audit keeps the log of everything that happened: the truth that the database, the pages and
// the recovery after a crash are derived from.
//
// The log is a folder with one file a day, 2026-11-22.jsonl, and one JSON object a line, named as
// CloudEvents 1.0 names its attributes where it has a name for them. Each line carries in "prev" the
// SHA-256 of the line before it, newline included, so that
//
//	sed -n 7p 2026-11-22.jsonl | sha256sum
//
// prints what line 8 must say. The first line of each file but the first also carries the name of the
// file before it, its SHA-256 and its number of lines (what sha256sum and wc -l print). [Verify] walks
// the chain and names each place where somebody edited, removed, swapped or cut lines. The chain
// cannot show by itself that its very end was cut off or that all of it was written anew: who keeps
// a [Head] elsewhere can show that too.
//
// [Log.Append] returns when the line is on disk. If that fails, nobody can tell what a crash would
// leave, so the log takes nothing more until [Log.Repair], or the next [Open], has looked. A line that
// was torn by a crash is moved to a file of its own beside the log and the repair is recorded.
//
// The [Recorder] stands in front of it: it decides the order of events, has them projected into the
// database, and hands them to those who follow along.
//
// The package does not decide what is worth an event, and it deletes nothing. Start reading at [Log],
// then line.go for the format.
package audit
