package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/control"
	"slipway/deploy/release"
	"slipway/deploy/sandbox"
	"slipway/deploy/sockets"
	"slipway/deploy/traffic"
	"slipway/gitserver/repo"
)

// What the doctor prints, on standard output: a line a check, beginning with one of the marks; below
// what is not well, indented by four, how to mend it. The exit status is 1 if there is any ✗.
const (
	markWell    = "✓"
	markWarning = "!" // it works, and less well than it could
	markIll     = "✗" // deployments fail, or something is not as it is recorded
)

// finding is what one check found.
type finding struct {
	mark string
	what string // of the check
	says string
	mend string // lines; empty where all is well
}

func well(what, format string, args ...any) finding {
	return finding{mark: markWell, what: what, says: fmt.Sprintf(format, args...)}
}

func warning(what, says, mend string) finding { return finding{markWarning, what, says, mend} }

func ill(what, says, mend string) finding { return finding{markIll, what, says, mend} }

// records is what is known of apps and what they serve.
type records interface {
	Apps(context.Context) ([]deploy.App, error)
	TargetState(context.Context, deploy.Target) (deploy.TargetState, error)
	Unfinished(context.Context) ([]deploy.Deployment, error)
}

// patient is what the doctor looks at: a server, or the data directory of a dead one.
type patient struct {
	config  config
	pid     int // of the server; zero if none runs
	sshAddr string
	sandbox *sandbox.Sandbox
	repos   *repo.Store
	engine  *release.Local
	router  *traffic.Client
	records records // nil if the log cannot be read
	inForce func(context.Context, deploy.Target) (deploy.Number, error)
	head    func() audit.Head // of the log, as the server knows it; nil without one

	asked        sync.Once // guards the two below
	routerHealth traffic.Health
	routerErr    error
}

// doctorCommand asks the server's doctor, or without a server looks at the data directory itself, where
// it changes nothing.
func doctorCommand(ctx context.Context, data string, args []string, std stdio) error {
	f := newFlags("doctor")
	file := f.String("config", "", "")
	dir := f.String("data", data, "")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	path, err := dataDir(*dir)
	if err != nil {
		return err
	}
	if conn, err := sockets.Dial(ctx, deploy.Layout(path).Socket()); err == nil {
		conn.Close()
		return remoteCommand(ctx, path, []string{"doctor"}, std)
	}
	if _, err := os.Stat(deploy.Layout(path).Audit()); err != nil {
		return fmt.Errorf("%s is no data directory: it has no audit log; say where it is with -data DIR", path)
	}
	serve := []string{"-data", path}
	if *file != "" {
		serve = append(serve, "-config", *file)
	}
	c, err := readConfig(path, serve)
	if err != nil {
		return err
	}
	return examineAlone(ctx, c, std)
}

// examineAlone examines the data directory of a dead server.
func examineAlone(ctx context.Context, c config, std stdio) error {
	c.likeRouter(ctx)
	quiet := slog.New(slog.DiscardHandler)
	box := sandbox.New(c.boxes(quiet))
	router := traffic.NewClient(filepath.Join(c.layout.Router(), "sock"))
	p := &patient{
		config: c, sandbox: box, router: router, repos: repo.New(repo.Config{Layout: c.layout}),
		engine: release.NewLocal(release.Config{Layout: c.layout, Sandbox: box, Router: routerOf{router}}),
	}
	if known, err := replay(ctx, c.layout); err == nil { // what is wrong with the log is found below
		defer known.close()
		p.records = known
		p.inForce = func(ctx context.Context, t deploy.Target) (deploy.Number, error) {
			state, err := known.TargetState(ctx, t)
			return state.Serving, err
		}
	}
	err := p.examine(ctx, std.out)
	_ = box.Tidy() // it removes a folder if that is empty
	return err
}

// doctor examines the running server, for an admin.
func (c *commands) doctor(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("doctor").parse(args, 0, 0); err != nil {
		return err
	}
	if err := control.NeedAdmin(who); err != nil {
		return err
	}
	return c.patient().examine(ctx, std.out)
}

// asPatient is the server as its own doctor sees it.
func (s *server) asPatient() *patient {
	return &patient{
		config: s.config, pid: os.Getpid(), sshAddr: s.git.Addr(), sandbox: s.sandbox, repos: s.repos, engine: s.engine,
		router: s.router, records: s.store, inForce: s.pipeline.InForce, head: s.log.Head,
	}
}

// examine makes every check and prints what it finds as it goes.
func (p *patient) examine(ctx context.Context, out io.Writer) error {
	sick := false
	for _, check := range []func(context.Context) []finding{
		p.server, p.bubblewrap, p.cgroups, p.git, p.toolchains, p.unit,
		p.dataDirectory, p.disk, p.keys, p.clock,
		p.auditLog, p.database, p.postgres, p.ports, p.routing, p.unfinished, p.apps,
	} {
		for _, f := range check(ctx) {
			sick = sick || f.mark == markIll
			f.print(out)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if sick {
		return exitStatus(exitFailed)
	}
	return nil
}

func (f finding) print(out io.Writer) {
	lines := strings.Split(strings.TrimSpace(f.says), "\n")
	fmt.Fprintf(out, "%s %-16s %s\n", f.mark, f.what, lines[0])
	for _, l := range append(lines[1:], strings.Split(f.mend, "\n")...) {
		if l != "" {
			fmt.Fprintln(out, "    "+l)
		}
	}
}

// server tells whether one runs.
func (p *patient) server(context.Context) []finding {
	if p.pid != 0 {
		return []finding{well("server", "slipway %s, pid %d", version, p.pid)}
	}
	const start = "start it: slipway serve   (systemctl start slipway)"
	pid, err := strconv.Atoi(holderOf(p.config.layout))
	if err == nil && holdsOpen(pid, p.config.layout.Audit()) {
		return []finding{ill("server", fmt.Sprintf("process %d holds the data directory and does not answer", pid),
			fmt.Sprintf("if it does not come to answer, end it: kill %d   (apps and traffic go on), then\n%s", pid, start))}
	}
	return []finding{warning("server", "none runs; this looks at the data directory alone",
		start+"\nto deploy without one: slipway help deploy")}
}

// holdsOpen tells whether a process has a file open.
func holdsOpen(pid int, path string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && to == path {
			return true
		}
	}
	return false
}

// looking bounds one question to another process.
const looking = 2 * time.Second
