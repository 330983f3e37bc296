package audit

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	fileSuffix = ".jsonl"
	dayFormat  = "2006-01-02"
)

// fileName is the file for events recorded at t.
func fileName(t time.Time) string { return t.UTC().Format(dayFormat) + fileSuffix }

func isFileName(name string) bool {
	day, ok := strings.CutSuffix(name, fileSuffix)
	if !ok {
		return false
	}
	_, err := time.Parse(dayFormat, day)
	return err == nil
}

// Exists tells whether there is a log in dir, which need not be there itself.
func Exists(dir string) (bool, error) {
	names, err := fileNames(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(names) > 0, err
}

// fileNames lists the files of the log in their order.
func fileNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the audit log: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if isFileName(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// tail is the newest file that has a line: the one that the next line follows.
type tail struct {
	name  string
	size  int64
	count uint64    // of lines
	sum   hash.Hash // of all its bytes
}

// add takes in a line that is now at the end of the file.
func (t *tail) add(raw []byte) {
	t.size += int64(len(raw))
	t.count++
	t.sum.Write(raw)
}

func (t *tail) file() *File {
	return &File{Name: t.name, SHA256: hex.EncodeToString(t.sum.Sum(nil)), Count: t.count}
}

// errCut says that a file ends in the middle of a line.
var errCut = errors.New("the line is cut short")

// errLong says that a line has more than MaxLine bytes.
var errLong = fmt.Errorf("the line is longer than %d bytes", MaxLine)

// lineReader reads lines in bounded memory.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, MaxLine)}
}

// next returns the next line with its newline, valid until the following call. It returns io.EOF at
// the end, errCut for a line without a newline there, and errLong, after which it goes on with the
// line after the long one.
func (r *lineReader) next() ([]byte, error) {
	raw, err := r.r.ReadSlice('\n')
	switch {
	case err == nil:
		return raw, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, r.skip()
	case errors.Is(err, io.EOF) && len(raw) > 0:
		return nil, errCut
	}
	return nil, err
}

// skip passes over the rest of a line that is too long and says so.
func (r *lineReader) skip() error {
	for {
		_, err := r.r.ReadSlice('\n')
		switch {
		case err == nil:
			return errLong
		case errors.Is(err, io.EOF):
			return errCut
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// scan is what reading a whole file shows.
type scan struct {
	tail          // of the lines that are whole
	last   Line   // the last of them, if it can be read
	hash   string // of the last of them
	broken error  // why the file does not end with a line that can be read; nil if it does
	torn   bool   // a crash can have broken it
	start  int64  // where that damaged end starts
}

// scanFile reads a file and looks at its end. It does not check the chain.
func scanFile(dir, name string) (scan, error) {
	s := scan{tail: tail{name: name, sum: sha256.New()}}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return s, fmt.Errorf("reading the audit log: %w", err)
	}
	defer f.Close()
	lines := newLineReader(f)
	var last []byte
	for {
		raw, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			s.end(last)
			return s, nil
		case errors.Is(err, errCut):
			s.start, s.broken, s.torn = s.size, errCut, true
			return s, nil
		case errors.Is(err, errLong):
			return s, fmt.Errorf("%s: line %d: %w", name, s.count+1, errLong)
		case err != nil:
			return s, fmt.Errorf("reading %s: %w", name, err)
		}
		s.start = s.size
		last = append(last[:0], raw...)
		s.add(raw)
	}
}

func (s *scan) end(last []byte) {
	if s.count == 0 {
		return
	}
	s.hash = hashOf(last)
	s.last, s.broken = ParseLine(last)
	s.torn = s.broken != nil && !json.Valid(last) // pages of it can be missing although its newline is there
}
