package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	maxLine = 64 << 10 // a longer line is cut into several
	maxRead = 8 << 20  // bytes of a log that one look reads; the rest is for the next
)

// follower reads the lines that a log file gets from the first read on, also when the file is renamed
// and begun anew, or truncated.
type follower struct {
	begun bool
	file  *os.File // nil while there is none
	rest  []byte   // of the line that is not complete
}

func (f *follower) close() {
	if f.file != nil {
		f.file.Close()
	}
}

// read returns the new lines of the log that is at path now, and with all the incomplete one too. The
// first read finds none, but notes where the log ends.
func (f *follower) read(path string, all bool) ([]string, error) {
	if !f.begun {
		f.begun = true
		return nil, f.begin(path)
	}
	// Looking for a new file before reading the old one's end finds what was written last to it.
	replaced, err := f.replaced(path)
	if err != nil {
		return nil, err
	}
	lines, err := f.drain()
	if err != nil || !replaced {
		return f.flush(lines, all), err
	}
	if err := f.open(path); err != nil {
		return f.flush(lines, all), err
	}
	more, err := f.drain()
	return f.flush(append(lines, more...), all), err
}

// begin opens the log at its end. A log that is not there yet will be read whole.
func (f *follower) begin(path string) error {
	if err := f.open(path); err != nil || f.file == nil {
		return err
	}
	if _, err := f.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("reading a log: %w", err)
	}
	return nil
}

func (f *follower) open(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	f.close()
	f.file = file
	return nil
}

// replaced tells whether path names another file than the one that is open.
func (f *follower) replaced(path string) (bool, error) {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a log: %w", err)
	}
	if f.file == nil {
		return true, nil
	}
	open, err := f.file.Stat()
	if err != nil {
		return false, fmt.Errorf("looking at a log: %w", err)
	}
	return !os.SameFile(now, open), nil
}

// drain reads the open file to its end and returns its complete lines.
func (f *follower) drain() ([]string, error) {
	if f.file == nil {
		return nil, nil
	}
	info, err := f.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at a log: %w", err)
	}
	at, err := f.file.Seek(0, io.SeekCurrent)
	if err == nil && info.Size() < at {
		_, err = f.file.Seek(0, io.SeekStart) // it was truncated
	}
	if err != nil {
		return nil, fmt.Errorf("reading a log: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f.file, maxRead))
	f.rest = append(f.rest, text...)
	if err != nil {
		return f.cut(), fmt.Errorf("reading a log: %w", err)
	}
	return f.cut(), nil
}

// cut takes the complete lines out of rest.
func (f *follower) cut() []string {
	var lines []string
	for {
		end := bytes.IndexByte(f.rest, '\n')
		switch {
		case end >= 0 && end <= maxLine:
			lines = append(lines, string(f.rest[:end]))
			f.rest = f.rest[end+1:]
		case len(f.rest) > maxLine:
			lines = append(lines, string(f.rest[:maxLine]))
			f.rest = f.rest[maxLine:]
		default:
			f.rest = bytes.Clone(f.rest)
			return lines
		}
	}
}

func (f *follower) flush(lines []string, all bool) []string {
	if all && len(f.rest) > 0 {
		lines = append(lines, string(f.rest))
		f.rest = nil
	}
	return lines
}
