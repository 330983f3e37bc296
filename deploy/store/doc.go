// Package store answers questions about users, apps and deployments from a database that is derived
// from the audit log, event by event ([Store.Project]), and from nothing else. Nobody writes to it in
// any other way, so it can be lost: a missing or damaged database file is replaced by an empty one, and
// the events from [Store.LastSequence] on bring it up to date.
//
// Because the log is the truth, an event is never refused here for what it says. One that fits nothing
// known (a stage of a deployment that does not exist) is kept among the events, counted, logged, and
// changes nothing else. What must not happen is refused before it is recorded, by [Store.Check].
//
// The database is SQLite or PostgreSQL, through gorm, which no other package imports. Statements outside
// migrations/ are understood by both and answered the same way: text is compared byte by byte (in
// PostgreSQL every column says COLLATE "C"), and upper and lower case are only ever made the same by
// this program. Every test runs on both. Migrations are numbered, the same for both, and only go
// forward; as the database can be rebuilt, a migration may also empty it.
//
// All methods are safe for concurrent use. There is one connection for writing and a pool for reading;
// a reader sees every event whose projecting has returned. Errors wrap [deploy.ErrNotFound] and
// [deploy.ErrExists]; any other error is a fault.
//
// Start reading at [Open], then project.go for what each event changes.
package store
