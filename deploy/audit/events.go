package audit

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"slipway/deploy"
)

// Events returns the recorded events from the given sequence on, up to the last one recorded when the
// iteration starts. It reads the files in bounded memory while others append. It ends with an error at
// a line that cannot be read or is out of order; [Verify] tells more about those.
func (l *Log) Events(from uint64) iter.Seq2[deploy.Event, error] {
	return func(yield func(deploy.Event, error) bool) {
		last := l.Head().Sequence
		if from > last {
			return
		}
		read(l.dir, from, last, func(line Line, _ []byte, err error) bool { return yield(line.Event, err) })
	}
}

// Lines returns the lines of the log in dir from the given sequence on. It needs no lock, so it also
// reads the log of another process; a last line that is being written is not seen.
func Lines(dir string, from uint64) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		read(dir, from, noEnd, func(line Line, _ []byte, err error) bool { return yield(line, err) })
	}
}

// Raw is [Lines] as the bytes that stand in the files, newlines included. They are valid until the next
// step of the iteration.
func Raw(dir string, from uint64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		read(dir, from, noEnd, func(_ Line, raw []byte, err error) bool { return yield(raw, err) })
	}
}

// FirstSince is the sequence of the first event that was recorded at t or later; the one after the last
// if there is none.
func FirstSince(dir string, t time.Time) (uint64, error) {
	names, err := fileNames(dir)
	if err != nil {
		return 0, err
	}
	// A file holds nothing that was recorded later than on the day it is named after.
	i, _ := slices.BinarySearch(names, fileName(t))
	if i == len(names) {
		head, err := ReadHead(dir)
		return head.Sequence + 1, err
	}
	next, err := firstSequence(dir, names[i])
	if err != nil {
		return 0, err
	}
	for line, err := range Lines(dir, next) {
		if err != nil || !line.RecordedAt.Before(t) {
			return line.Event.Sequence, err
		}
		next = line.Event.Sequence + 1
	}
	return next, nil
}

// read goes from one sequence to another, both included.
func read(dir string, from, to uint64, yield func(Line, []byte, error) bool) {
	names, err := filesFrom(dir, from)
	if err != nil {
		yield(Line{}, nil, err)
		return
	}
	r := reader{dir: dir, from: max(from, 1), to: to, yield: yield}
	for i, name := range names {
		if !r.file(name, i == len(names)-1) {
			return
		}
	}
	if to != noEnd {
		r.fail(fmt.Errorf("the audit log ends with event %d, and event %d was recorded", r.last, to))
	}
}

// noEnd is the sequence after which nothing comes.
const noEnd = math.MaxUint64

// reader hands the lines of one file after the other to yield.
type reader struct {
	dir      string
	from, to uint64
	last     uint64 // the sequence seen last; zero before the first line
	yield    func(Line, []byte, error) bool
}

// file reads one file and tells whether to go on.
func (r *reader) file(name string, newest bool) bool {
	f, err := os.Open(filepath.Join(r.dir, name))
	if err != nil {
		return r.fail(fmt.Errorf("reading the audit log: %w", err))
	}
	defer f.Close()
	lines := newLineReader(f)
	for number := 1; ; number++ {
		raw, err := lines.next()
		if errors.Is(err, io.EOF) || (errors.Is(err, errCut) && newest) {
			return true
		}
		if err != nil {
			return r.fail(fmt.Errorf("%s: line %d: %w", name, number, err))
		}
		line, err := ParseLine(raw)
		if err != nil {
			return r.fail(fmt.Errorf("%s: line %d: %w", name, number, err))
		}
		if err := r.inOrder(line.Event.Sequence); err != nil {
			return r.fail(fmt.Errorf("%s: line %d: %w", name, number, err))
		}
		if !r.hand(line, raw) {
			return false
		}
	}
}

func (r *reader) inOrder(sequence uint64) error {
	if r.last == 0 && sequence > r.from {
		return fmt.Errorf("event %d is missing: the first one here is %d", r.from, sequence)
	}
	if r.last != 0 && sequence != r.last+1 {
		return fmt.Errorf("event %d follows event %d", sequence, r.last)
	}
	r.last = sequence
	return nil
}

func (r *reader) hand(line Line, raw []byte) bool {
	sequence := line.Event.Sequence
	if sequence < r.from {
		return true
	}
	if sequence > r.to {
		return false
	}
	return r.yield(line, raw, nil) && sequence < r.to
}

func (r *reader) fail(err error) bool {
	r.yield(Line{}, nil, err)
	return false
}

// filesFrom lists the files that hold the events from the given sequence on, oldest first.
func filesFrom(dir string, from uint64) ([]string, error) {
	names, err := fileNames(dir)
	if err != nil {
		return nil, err
	}
	for i := len(names) - 1; i > 0; i-- {
		first, err := firstSequence(dir, names[i])
		if err != nil {
			return nil, err
		}
		if first != 0 && first <= from {
			return names[i:], nil
		}
	}
	return names, nil
}

// firstSequence is that of a file's first line; zero if it has no line that can be read, which whoever
// comes to that line will say better.
func firstSequence(dir, name string) (uint64, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return 0, fmt.Errorf("reading the audit log: %w", err)
	}
	defer f.Close()
	raw, err := newLineReader(f).next()
	if err != nil {
		return 0, nil //nolint:nilerr // see above
	}
	line, err := ParseLine(raw)
	if err != nil {
		return 0, nil //nolint:nilerr // see above
	}
	return line.Event.Sequence, nil
}
