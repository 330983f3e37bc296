package main

import (
	"context"
	"fmt"
	"time"

	"slipway/deploy/audit"
	"slipway/deploy/store"
)

// What the doctor looks at of PostgreSQL, if history is kept there as well. Nothing waits for it: while it
// is away or behind, the server's own database answers.

const (
	ownAnswers  = "meanwhile the server's own database answers"
	serverTries = "the server tries again every 2 s, and its log says why it fails"
)

// postgres tells whether it is reached, of which schema it is, and how far behind the log.
func (p *patient) postgres(ctx context.Context) []finding {
	if p.config.Database == "" {
		return nil
	}
	found := p.postgresNow(ctx)
	if p.pid == 0 || found.mark == markWell {
		return []finding{found}
	}
	// A server that was just started, or has just recorded something, looks like that for a moment.
	again := time.NewTimer(time.Second)
	defer again.Stop()
	select {
	case <-again.C:
	case <-ctx.Done():
	}
	return []finding{p.postgresNow(ctx)}
}

func (p *patient) postgresNow(ctx context.Context) finding {
	const what = "postgresql"
	short, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	at, err := store.PeekPostgres(short, p.config.Database)
	if err != nil {
		return warning(what, err.Error(), "see whether it runs, and whether the key database in server.toml is right; "+ownAnswers)
	}
	head, err := audit.ReadHead(p.config.layout.Audit())
	if err != nil {
		return warning(what, "it cannot be compared with the audit log: "+err.Error(), "")
	}
	schema := fmt.Sprintf("schema %d", at.Schema)
	switch {
	case at.Schema > at.Known:
		return ill(what, fmt.Sprintf("%s is of a newer slipway; this one knows %d", schema, at.Known),
			"use that one again, or name another database in server.toml; "+ownAnswers)
	case at.Schema < at.Known && p.pid == 0:
		return well(what, "%s of %d; the next start brings it up to date", schema, at.Known)
	case at.Schema < at.Known:
		return warning(what, fmt.Sprintf("%s of %d", schema, at.Known), "its user must be able to make tables; "+serverTries)
	case !p.holds(at):
		return ill(what, fmt.Sprintf("it is of another log: event %d there is not the one of this log", at.Sequence),
			"name another database or schema in server.toml, or empty this one; "+ownAnswers)
	case at.Sequence >= head.Sequence:
		return well(what, "%s, in step with the audit log, at event %d", schema, at.Sequence)
	}
	behind := fmt.Sprintf("%s, %d events behind the audit log", schema, head.Sequence-at.Sequence)
	if p.pid == 0 {
		return well(what, "%s; the next start catches up", behind)
	}
	return warning(what, behind, serverTries+"; "+ownAnswers)
}

// holds tells whether the event that a database had last is one of the log.
func (p *patient) holds(at store.Peeked) bool {
	if at.Sequence == 0 {
		return true
	}
	for line, err := range audit.Lines(p.config.layout.Audit(), at.Sequence) {
		return err == nil && line.Event.ID == at.EventID
	}
	return false
}
