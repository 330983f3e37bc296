package build

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// output takes what a step prints: all of it into the tail, and into the log until the log is as large
// as it may be. It never fails and never blocks longer than the log does, so that a step which prints
// without end is still drained. Safe for concurrent use.
type output struct {
	mu      sync.Mutex
	log     io.Writer
	max     int64
	written int64
	dropped int64
	midLine bool
	tail    tail
	refused []string // hosts that the egress proxy refused, the first few
	silent  []string // hosts that the egress proxy was let down by, and how, the first few
	err     error    // of the log, the first one
}

func newOutput(log io.Writer, limit int64) *output { return &output{log: log, max: limit} }

// Write takes the step's own output.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.take(p)
	return len(p), nil
}

func (o *output) take(p []byte) {
	if len(p) == 0 {
		return
	}
	_, _ = o.tail.Write(p) // never fails
	o.midLine = p[len(p)-1] != '\n'
	keep := min(int64(len(p)), o.max-o.written)
	o.put(p[:keep])
	o.written += keep
	if keep == int64(len(p)) {
		return
	}
	if o.dropped == 0 {
		o.put(fmt.Appendf(nil, "\n[the log was cut here, at %s; the output went on]\n", size(o.max)))
	}
	o.dropped += int64(len(p)) - keep
}

func (o *output) put(p []byte) {
	if o.err != nil || len(p) == 0 {
		return
	}
	_, o.err = o.log.Write(p)
}

// finish ends the log: one that was cut gets the last lines of the output, since that is where the
// reason is. It returns what kept the log from being written.
func (o *output) finish() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 {
		o.put(fmt.Appendf(nil, "[%s were not kept; the last lines were:]\n%s\n", size(o.dropped), strings.Join(o.tail.Lines(), "\n")))
	}
	if o.err != nil {
		return fmt.Errorf("writing log: %w", o.err)
	}
	return nil
}

// Lines are the last lines of the output.
func (o *output) Lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tail.Lines()
}

// Refused are the first hosts that the egress proxy refused.
func (o *output) Refused() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

// Silent are the first hosts that did not answer the egress proxy, each with why.
func (o *output) Silent() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.silent
}

// note writes a line of our own into the output, never into the middle of one of the step's.
func (o *output) note(format string, args ...any) {
	fmt.Fprintf(notes{o}, format+"\n", args...)
}

// How the egress proxy begins its line for a host that it refused, for one that did not answer, and how
// many of them are told again.
const (
	refusal     = "egress: refused "
	unreached   = "egress: could not reach "
	mostRefused = 3
)

// notes is the output for lines of our own: each Write is whole lines.
type notes struct{ o *output }

func (n notes) Write(p []byte) (int, error) {
	n.o.mu.Lock()
	defer n.o.mu.Unlock()
	if line, found := strings.CutPrefix(string(p), refusal); found && len(n.o.refused) < mostRefused {
		host, _, _ := strings.Cut(line, ": ")
		n.o.refused = append(n.o.refused, oneLine(host))
	}
	if line, found := strings.CutPrefix(string(p), unreached); found && passing.MatchString(line) && len(n.o.silent) < mostRefused {
		n.o.silent = append(n.o.silent, oneLine(strings.TrimSpace(line)))
	}
	if n.o.midLine {
		n.o.take([]byte("\n"))
	}
	n.o.take(p)
	return len(p), nil
}

// size tells bytes to people.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for ; f >= 1024 && u < len(units)-1; u++ {
		f /= 1024
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + units[u]
}
