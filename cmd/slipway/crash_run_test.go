package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy"
)

// crash does one: kill, start again, look, push again.
func (w *crashWorld) crash(c crash) {
	w.t.Helper()
	spared := c.victim == theRouter || c.victim == aKeeper || c.victim == anInstance // the server is
	w.kill()
	a := c.kind.prepare(w)
	if c.loses != nil {
		a.accepted = nil // a release that was never whole on disk
	}
	w.visitors.allow(c.victim != onlyServer, append(slices.Clone(a.visible), w.serving.revision)...)
	by := "STOP"
	if c.victim == onlyServer {
		by = "KILL"
	}
	w.start(a.instead, "SLIPWAY_CRASH_TRACE="+filepath.Join(w.dir, "trace.last"), "SLIPWAY_CRASH_AT="+c.at(), "SLIPWAY_CRASH_BY="+by)
	reached, asked := w.until(c, a, spared)
	if c.loses != nil && !reached {
		w.t.Errorf("the server does not come to %s", c.name)
	}
	if !reached || !spared || a.instead != nil {
		w.kill() // it must not come to the point later
		w.recover(c)
	}
	old := w.serving.revision
	w.settle(c.victim != onlyServer)
	now := w.serving.revision
	if asked == nil && (len(a.accepted) == 0 || now != a.accepted[len(a.accepted)-1]) {
		w.t.Errorf("it was said to be accepted, but %s serves", now)
	}
	if now != old && !slices.Contains(a.accepted, now) {
		w.t.Errorf("%s serves, which should not", now)
	}
	if !w.t.Failed() {
		w.pushAgain()
	}
	if w.t.Failed() {
		w.t.Log(w.lastLog())
	}
}

// until starts the attempt and returns when it has ended, with its error, and the crash has happened, or
// will not happen because the server did not come to the point.
func (w *crashWorld) until(c crash, a attempt, spared bool) (reached bool, asked error) {
	w.t.Helper()
	ended := make(chan error, 1)
	err := w.ready()
	switch {
	case err == nil && state(w.server.Process.Pid) != 'T':
		go func() { ended <- a.run() }()
	case err == nil || errors.Is(err, errServerEnded):
		ended <- errors.New("there was no server to ask")
	default:
		w.t.Fatalf("starting: %v\n%s", err, w.lastLog())
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var enough <-chan time.Time
	for {
		select {
		case asked = <-ended:
			ended, enough = nil, time.After(afterAnswer)
		case <-enough:
			return false, asked
		case <-w.ended:
			return true, w.answer(ended, asked)
		case <-tick.C:
		}
		if state(w.server.Process.Pid) != 'T' {
			continue
		}
		w.strike(c.victim)
		if c.loses != nil {
			w.lose(c.loses)
		}
		if spared {
			w.must(w.server.Process.Signal(unix.SIGCONT))
			w.must(w.ready())
		}
		return true, w.answer(ended, asked)
	}
}

// afterAnswer is how long a server that has answered may go on with what nobody waits for.
const afterAnswer = 2 * time.Second

// answer waits for the answer if it is not there yet.
func (w *crashWorld) answer(ended <-chan error, asked error) error {
	if ended == nil {
		return asked
	}
	return <-ended
}

// strike ends the victim while the server stands still.
func (w *crashWorld) strike(v victim) {
	w.t.Helper()
	switch v {
	case everything:
		w.must(w.killAll())
	case thePower:
		if w.disk == nil {
			w.must(w.killAll())
			return
		}
		w.must(w.disk.cut())
		w.must(w.killAll())
		w.must(w.disk.again())
	default:
		for _, p := range w.processes() {
			if p.role() == string(v) {
				_ = unix.Kill(p.pid, unix.SIGKILL)
				break // of several keepers, any
			}
		}
	}
}

// recover starts a server that is killed in its recovery, if that is planned, and then one that is not.
func (w *crashWorld) recover(c crash) {
	w.t.Helper()
	if c.again > 0 {
		w.start(nil, "SLIPWAY_CRASH_TRACE="+filepath.Join(w.dir, "trace.again"), fmt.Sprintf("SLIPWAY_CRASH_AT=%d", c.again))
		if err := w.ready(); err != nil && !errors.Is(err, errServerEnded) {
			w.t.Fatalf("starting again: %v\n%s", err, w.lastLog())
		}
		w.kill()
	}
	if err := w.serve(); err != nil {
		w.t.Fatalf("starting again: %v\n%s", err, w.lastLog())
	}
}

// settle waits until everything agrees, and tells the visitors what they may see from then on.
func (w *crashWorld) settle(faults bool) {
	w.t.Helper()
	r, err := w.agrees(faults)
	if err != nil {
		w.t.Errorf("it does not agree: %v\n%v", err, w.processes())
		return
	}
	w.before, w.serving = r.before["visited"], r.serving["visited"]
	for n := range r.status {
		w.last = max(w.last, int(n))
	}
	if faults {
		w.excused = w.last
	}
	w.visitors.allow(false, w.serving.revision)
	answers, wrong := w.visitors.seen()
	if answers == 0 && w.last > firstPushes {
		w.t.Error("nobody has visited the app meanwhile")
	}
	if len(wrong) > 0 {
		w.t.Errorf("of %d answers these should not have been:\n%s", answers, strings.Join(wrong, "\n"))
	}
	w.run(w.git("fetch", "-q", filepath.Join(w.data, "repos", "visited.git"), "main"))
	w.run(w.git("reset", "-q", "--hard", "FETCH_HEAD"))
}

// pushAgain makes sure that the next push works.
func (w *crashWorld) pushAgain() {
	w.t.Helper()
	next := w.commit()
	w.visitors.allow(false, w.serving.revision, next)
	w.run(w.git("push", "-q", "alice", next+":refs/heads/main"))
	if serves, err := w.get("visited"); serves != next {
		w.t.Errorf("after the next push %q serves, not %s: %v", serves, next, err)
	}
	w.last++
	w.before, w.serving = w.serving, production{deploy.Number(w.last), next}
	w.visitors.allow(false, next)
	if answers, wrong := w.visitors.seen(); len(wrong) > 0 {
		w.t.Errorf("of %d answers these should not have been:\n%s", answers, strings.Join(wrong, "\n"))
	}
}
