package keeper

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// rotatingLog appends to a file that is renamed away when it is full, so that all files together hold
// at most about limit × files bytes. It cuts after a line where it can, and inside one that is longer
// than a file. It never fails its writer: what the disk does not take is dropped, since a full disk
// must not stop the child. It is for one goroutine.
type rotatingLog struct {
	path  string
	limit int64
	files int // the present one included
	file  *os.File
	size  int64
}

func openLog(path string, limit int64, files int) (*rotatingLog, error) {
	l := &rotatingLog{path: path, limit: limit, files: files}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return l, nil
}

func (l *rotatingLog) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write takes all of p.
func (l *rotatingLog) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := l.fits(rest)
		if n == 0 {
			l.rotate()
			continue
		}
		l.append(rest[:n])
		rest = rest[n:]
	}
	return len(p), nil
}

// fits returns how many bytes of p belong into the present file, 0 if it is full.
func (l *rotatingLog) fits(p []byte) int {
	room := l.limit - l.size
	if int64(len(p)) <= room {
		return len(p)
	}
	if end := bytes.LastIndexByte(p[:max(room, 0)], '\n'); end >= 0 {
		return end + 1
	}
	// No line ends in what would fit. A line that fits into an empty file goes there whole.
	line := bytes.IndexByte(p, '\n') + 1
	if l.size > 0 && (line > 0 && int64(line) <= l.limit || room <= 0) {
		return 0
	}
	return int(max(room, 1))
}

func (l *rotatingLog) append(p []byte) {
	l.size += int64(len(p)) // also what was lost, so that a full disk is tried again after a rotation
	if l.file == nil && l.open() != nil {
		return
	}
	_, _ = l.file.Write(p)
}

func (l *rotatingLog) rotate() {
	l.Close()
	l.size = 0
	if _, err := os.Lstat(l.path); err != nil {
		return // nothing was written: the older files stay
	}
	for i := l.files - 1; i > 1; i-- {
		_ = os.Rename(l.old(i-1), l.old(i))
	}
	if l.files > 1 {
		_ = os.Rename(l.path, l.old(1))
	} else {
		_ = os.Remove(l.path)
	}
	_ = l.open()
}

func (l *rotatingLog) old(i int) string { return l.path + "." + strconv.Itoa(i) }

// Close closes the present file.
func (l *rotatingLog) Close() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
