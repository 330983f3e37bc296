package pipeline

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
)

// terminal is what a pusher reads, on git's sideband (stderr of the client, each line after
// "remote: "). It is plain text, one fact a line:
//
//	shop  deployment 42  3f2c9e1 "Fix cart total"  alice
//	✓ checkout                  0.1s        a stage that passed
//	✗ test unit                 5.1s        that failed; "-" was ended, "!" is our fault
//	… build                     10s         that still runs and has said nothing for 5 s
//	  waiting: place 1, after deployment 41 by bob (build, 12s)
//
//	rejected: test set "unit" failed (exit status 1)
//	  the last lines of the failing output, the cause first
//
//	production still serves 1b2c3d4 (deployment 41)
//	whole log: ssh -p 2222 host log 42   http://127.0.0.1:8080/deployments/42
//
// Its methods are safe for concurrent use; errors of the writer are ignored, since the deployment goes
// on when the pusher does not read.
type terminal struct {
	verbose bool

	mu      sync.Mutex
	out     io.Writer
	said    time.Time
	stages  []*shownStage // that run now, oldest first
	waits   string        // the last line about waiting, without its time
	stop    chan struct{}
	stopped sync.WaitGroup
}

// silence is how long a terminal may say nothing while a stage runs.
const silence = 5 * time.Second

func newTerminal(out io.Writer, verbose bool) *terminal {
	t := &terminal{out: out, verbose: verbose, said: time.Now(), stop: make(chan struct{})}
	return t
}

// Close ends the terminal, and its writer if that can be closed.
func (t *terminal) Close() {
	t.mu.Lock()
	started := t.stop
	t.stop = nil
	t.mu.Unlock()
	if started != nil {
		close(started)
	}
	t.stopped.Wait()
	if c, ok := t.out.(io.Closer); ok {
		_ = c.Close()
	}
}

// print writes lines. An empty string is an empty line.
func (t *terminal) print(lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.printLocked(lines...)
}

func (t *terminal) printLocked(lines ...string) {
	_, _ = io.WriteString(t.out, strings.Join(lines, "\n")+"\n")
	t.said = time.Now()
}

func (t *terminal) header(d deploy.Deployment) {
	what := ""
	if d.Again != nil {
		what = fmt.Sprintf("  %s", d.Again)
	}
	t.print(fmt.Sprintf("%s  deployment %d  %s %q  %s%s", d.App, d.Number, d.New.Short(), shorten(d.Commit.Subject, 60), d.Pusher.User, what))
	t.stopped.Go(t.tick)
}

// tick breaks silences until the terminal is closed.
func (t *terminal) tick() {
	t.mu.Lock()
	stop := t.stop
	t.mu.Unlock()
	if stop == nil {
		return
	}
	ticker := time.NewTicker(silence / 5)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			t.breakSilence()
		}
	}
}

func (t *terminal) breakSilence() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.said) < silence || len(t.stages) == 0 {
		return
	}
	s := t.stages[0]
	t.printLocked(stageLine("…", s.name, time.Since(s.began)))
}

// shownStage is a stage that runs, as the pusher sees it.
type shownStage struct {
	t     *terminal
	name  deploy.StageName
	began time.Time
}

func (t *terminal) begin(name deploy.StageName) *shownStage {
	s := &shownStage{t: t, name: name, began: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stages = append(t.stages, s)
	return s
}

func (s *shownStage) elapsed() time.Duration { return time.Since(s.began) }

// end writes the stage's line.
func (s *shownStage) end(o deploy.Outcome, took time.Duration) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.stages = slices.DeleteFunc(s.t.stages, func(o *shownStage) bool { return o == s })
	s.t.printLocked(stageLine(mark(o), s.name, took))
}

// output returns where the stage writes: its log, and the pusher too if that was asked for.
func (s *shownStage) output(log io.Writer) io.Writer {
	if !s.t.verbose {
		return log
	}
	return io.MultiWriter(log, &indented{t: s.t})
}

// indented passes whole lines on to the terminal.
type indented struct {
	t    *terminal
	rest []byte
}

func (w *indented) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		i := slices.Index(w.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		w.t.print("    " + plain(string(w.rest[:i])))
		w.rest = w.rest[i+1:]
	}
}

func mark(o deploy.Outcome) string {
	switch o {
	case deploy.OutcomePass:
		return "✓"
	case deploy.OutcomeFail:
		return "✗"
	case deploy.OutcomeFault:
		return "!"
	}
	return "-"
}

func stageLine(mark string, name deploy.StageName, took time.Duration) string {
	return fmt.Sprintf("%s %-26s%s", mark, display(name), seconds(took))
}

// display writes a stage's name for people: "test unit" for test.unit.
func display(name deploy.StageName) string { return strings.Replace(string(name), ".", " ", 1) }

// seconds writes a span as 0.1s, 12s, 1m05s.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// waiting says who is ahead, once for each change and again after a while.
func (t *terminal) waiting(ahead []ticket) {
	first := ahead[0]
	if first.number == 0 {
		return // the server looks after production, for a moment
	}
	who := fmt.Sprintf("waiting: place %d, after deployment %d by %s", len(ahead), first.number, first.user)
	stage := ""
	if first.stage != "" {
		stage = display(first.stage) + ", "
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waits == who+stage && time.Since(t.said) < waitInterval {
		return
	}
	t.waits = who + stage
	t.printLocked(fmt.Sprintf("  %s (%s%s)", who, stage, seconds(time.Since(first.since))))
}

func shorten(s string, n int) string {
	r := []rune(clean(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
