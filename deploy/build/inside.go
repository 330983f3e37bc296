package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"slipway/deploy"
	"slipway/deploy/build/inner"
	"slipway/deploy/sockets"
)

// Where things of ours are inside the sandbox.
const (
	insideProgram = "/run/slipway/program"
	insideEgress  = "/run/slipway/egress.sock"
	insideReport  = "/run/slipway/report.sock"
	insideBin     = "/run/slipway/bin" // of programs that we put before the host's

	appGrace = 5 * time.Second
)

// prepareInner makes what the program inside needs: itself, and a private folder with its sockets.
func (a *attempt) prepareInner(uid, gid int) error {
	program, err := a.program(uid)
	if err != nil {
		return fmt.Errorf("finding the program for the sandbox: %w", err)
	}
	a.mount(program, insideProgram, false)
	a.private, err = os.MkdirTemp(a.config.RunDir, a.runPrefix(a.job.Number))
	if err != nil {
		return fmt.Errorf("making a folder for sockets: %w", err)
	}
	a.closers = append(a.closers, func() error { return os.RemoveAll(a.private) })
	if a.step.network {
		if err := a.openEgress(); err != nil {
			return err
		}
	}
	if a.step.app != nil {
		if err := a.openApp(); err != nil {
			return err
		}
	}
	if err := a.openReport(); err != nil {
		return err
	}
	for _, p := range []string{"egress.sock", "report.sock", "."} {
		if err := os.Lchown(filepath.Join(a.private, p), uid, gid); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("giving sockets to the sandbox's user: %w", err)
		}
	}
	return nil
}

func (a *attempt) openEgress() error {
	if a.config.Egress == nil {
		return errors.New("the step wants network, and there is no egress proxy")
	}
	socket := filepath.Join(a.private, "egress.sock")
	c, err := a.config.Egress.Listen(socket, a.step.hosts, maskedNotes{a.mask, notes{a.out}})
	if err != nil {
		return fmt.Errorf("opening the way out: %w", err)
	}
	a.closers = append(a.closers, c.Close)
	a.mount(socket, insideEgress, false)
	a.plan.Egress = a.config.Sandbox.Path(socket, insideEgress)
	return a.wrapSSH()
}

// openApp plans the app beside the set. It gets what an instance gets, over it what the set sets (a set
// that names another database means the app's), and over that the same variables as the set. Those come
// with the program's own environment: a plan can be read by whoever lists processes.
func (a *attempt) openApp() error {
	if err := a.openAppLog(); err != nil {
		return err
	}
	env := map[string]string{}
	const storage = "/tmp/storage"
	for _, m := range []map[string]string{{"HOME": "/tmp", "SLIPWAY_STORAGE": storage}, a.step.app.Env, a.step.Env} {
		maps.Copy(env, m)
	}
	maps.DeleteFunc(env, func(name, _ string) bool { _, ok := a.step.vars[name]; return ok })
	ready := a.job.Manifest.Deploy.ReadyTimeout
	if ready <= 0 {
		ready = defaultReadyTimeout
	}
	a.plan.App = &inner.App{
		Run: a.step.app.Run, Env: env, Path: a.job.Manifest.Health.Path, Storage: storage, Ready: ready, Grace: appGrace,
	}
	return nil
}

// innerArgv runs the program inside.
func (a *attempt) innerArgv() []string {
	argv := slices.Clone(a.config.Executable)
	argv[0] = a.config.Sandbox.Path(argv[0], insideProgram)
	return argv
}

// openReport listens for what the program inside has to say.
func (a *attempt) openReport() error {
	socket := filepath.Join(a.private, "report.sock")
	r, err := listenReport(socket, a.config.Logger)
	if err != nil {
		return err
	}
	a.report = r
	a.closers = append(a.closers, func() error { r.wait(); return nil })
	a.mount(socket, insideReport, false)
	a.plan.Report = a.config.Sandbox.Path(socket, insideReport)
	return nil
}

// reportListener takes the report from inside.
type reportListener struct {
	listener net.Listener
	logger   *slog.Logger
	done     chan struct{}
	report   inner.Report
}

// Whatever runs inside can write to the socket, so little is read, and not for long.
const (
	maxReport     = 4 << 10
	reportTimeout = 2 * time.Second
)

func listenReport(socket string, logger *slog.Logger) (*reportListener, error) {
	l, err := sockets.Listen(socket)
	if err != nil {
		return nil, fmt.Errorf("listening for the program inside: %w", err)
	}
	r := &reportListener{listener: l, logger: logger, done: make(chan struct{})}
	go r.take()
	return r, nil
}

// take keeps the last report that came.
func (r *reportListener) take() {
	defer close(r.done)
	_ = sockets.Accept(context.Background(), r.listener, r.logger, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(reportTimeout))
		var said inner.Report
		if err := json.NewDecoder(io.LimitReader(conn, maxReport)).Decode(&said); err == nil {
			r.report = said
		}
		conn.Close() // tells the program that it was read
	}) // until wait
}

// wait returns the report, zero if none came. The step has to have ended.
func (r *reportListener) wait() inner.Report {
	r.listener.Close()
	<-r.done
	return r.report
}

// runPrefix begins the names of a deployment's folders of sockets.
func (b *Builder) runPrefix(n deploy.Number) string { return b.runName(n.String() + "-") }

// runName is a name in RunDir. Those of a server that died are found again, and those of another
// server on this machine are not.
func (b *Builder) runName(s string) string {
	sum := sha256.Sum256([]byte(b.config.Layout))
	return "slipway-" + hex.EncodeToString(sum[:4]) + "-" + s
}
