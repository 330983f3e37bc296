package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/store/pgtest"
)

// scriptPostgres is the PostgreSQL of one script.
type scriptPostgres struct {
	cluster *pgtest.Cluster
	url     string
}

type postgresKey struct{}

// postgres is the command of scripts about PostgreSQL: postgres new makes one and has the server use it,
// halt and run end it as a crash would and start it again, await waits until it has had every event, and exec
// does something to it.
func postgres(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 && (len(args) != 2 || args[0] != "exec") {
		ts.Fatalf("usage: postgres new|halt|run|await|exec STATEMENT")
	}
	s := theServer(ts)
	if args[0] == "new" {
		ts.Check(newPostgres(s.env))
		return
	}
	p := s.env.Values[postgresKey{}].(*scriptPostgres)
	switch args[0] {
	case "halt":
		ts.Check(p.cluster.Halt())
	case "run":
		ts.Check(p.cluster.Run())
	case "exec":
		ts.Check(p.exec(args[1]))
	case "await":
		ts.Check(until(time.Minute, func() error { return p.compare(deploy.Layout(s.env.Getenv("DATA"))) }))
	}
}

func newPostgres(env *testscript.Env) error {
	cluster, err := pgtest.Start("fsync=off")
	if err != nil {
		return err
	}
	env.Defer(func() { _ = cluster.Stop() })
	url, err := cluster.Schema()
	if err != nil {
		return err
	}
	env.Values[postgresKey{}] = &scriptPostgres{cluster, url}
	l := deploy.Layout(env.Getenv("DATA"))
	if err := os.MkdirAll(string(l), 0o711); err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(l.Config()), fmt.Appendf(nil, "database = %q\n", url), 0o600)
}

func (p *scriptPostgres) exec(statement string) error {
	db, err := sql.Open("pgx", p.url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

// compare tells whether PostgreSQL has had what the audit log holds.
func (p *scriptPostgres) compare(l deploy.Layout) error {
	var last deploy.Event
	for line, err := range audit.Lines(l.Audit(), 1) {
		if err != nil {
			return err
		}
		last = line.Event
	}
	db, err := sql.Open("pgx", p.url)
	if err != nil {
		return err
	}
	defer db.Close()
	var id string
	if err := db.QueryRow("SELECT event_id FROM projection").Scan(&id); err != nil {
		return err
	}
	if id != last.ID {
		return fmt.Errorf("PostgreSQL is at the event %s, the log at %s", id, last.ID)
	}
	return nil
}
