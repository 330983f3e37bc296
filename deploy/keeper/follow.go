package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Follower reads what a keeper's child says, from the log's files, as they are written and renamed away.
// It is for one goroutine and wants to be closed.
type Follower struct {
	dir  string
	file *os.File // that is being read; nil before the first
	lost bool
}

// Follow returns a follower of the log in a keeper's folder, at the beginning of its oldest file. The
// keeper need not run, and nothing need be there yet.
func Follow(dir string) *Follower { return &Follower{dir: dir} }

// Close closes the file that is open.
func (f *Follower) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Gone tells whether the keeper's folder was removed: then what can be read is all there will be.
func (f *Follower) Gone() bool {
	_, err := os.Stat(f.dir)
	return errors.Is(err, fs.ErrNotExist)
}

// Lost tells, once, whether files were rotated out of existence before they could be read.
func (f *Follower) Lost() bool {
	lost := f.lost
	f.lost = false
	return lost
}

// Read reads what comes next. [io.EOF] says that there is nothing more now; later there may be.
func (f *Follower) Read(p []byte) (int, error) {
	for {
		if f.file == nil && !f.open(f.oldest()) {
			return 0, io.EOF
		}
		if n, err := f.file.Read(p); n > 0 || err != nil && err != io.EOF {
			return n, err
		}
		next, ok := f.next()
		if !ok {
			return 0, io.EOF
		}
		// The file has its last byte since before it was renamed away, which was before next was seen.
		if n, _ := f.file.Read(p); n > 0 {
			next.Close()
			return n, nil
		}
		f.file.Close()
		f.file = next
	}
}

// path names the log's files: 0 is written to, 1 was before that, and so on.
func (f *Follower) path(i int) string {
	if i == 0 {
		return LogPath(f.dir)
	}
	return LogPath(f.dir) + "." + strconv.Itoa(i)
}

func (f *Follower) open(i int) bool {
	file, err := os.Open(f.path(i))
	if err != nil {
		return false
	}
	f.file = file
	return true
}

// oldest is the number of the oldest file there is.
func (f *Follower) oldest() int {
	oldest := 0
	found, _ := filepath.Glob(escapePattern(LogPath(f.dir)) + ".*") // the pattern is good
	for _, name := range found {
		if i, err := strconv.Atoi(name[len(LogPath(f.dir))+1:]); err == nil {
			oldest = max(oldest, i)
		}
	}
	return oldest
}

func escapePattern(path string) string {
	var b bytes.Buffer
	for _, c := range []byte(path) {
		if bytes.IndexByte([]byte(`*?[\`), c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// next opens the file that was begun after the one that is open, if there is one.
func (f *Follower) next() (*os.File, bool) {
	for {
		at := f.number(f.file)
		if at == 0 {
			return nil, false
		}
		newer := at - 1
		if at < 0 {
			if _, err := os.Stat(f.path(0)); err != nil {
				return nil, false // all were moved away, or the next one is being begun
			}
			newer = f.oldest()
		}
		file, err := os.Open(f.path(newer))
		if err != nil {
			return nil, false
		}
		if f.number(f.file) == at { // else they were renamed meanwhile
			f.lost = f.lost || at < 0
			return file, true
		}
		file.Close()
	}
}

// number is which of the files a file is, -1 for none of them.
func (f *Follower) number(file *os.File) int {
	info, err := file.Stat()
	if err != nil {
		return -1
	}
	for i := range f.oldest() + 1 {
		if other, err := os.Stat(f.path(i)); err == nil && os.SameFile(info, other) {
			return i
		}
	}
	return -1
}

// Last leaves the last n lines to be read, or fewer where there are no more, of what there is now. It is
// to be called before Read.
func (f *Follower) Last(n int) error {
	for i := range f.oldest() + 1 {
		file, err := os.Open(f.path(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("opening a log: %w", err)
		}
		if f.file != nil {
			f.file.Close()
		}
		f.file = file
		lines, err := lastLines(file, n)
		if err != nil {
			return fmt.Errorf("reading a log: %w", err)
		}
		if n -= lines; n == 0 {
			return nil
		}
	}
	return nil
}

// lastLines moves a file to where its last n lines begin, and returns how many they are.
func lastLines(file *os.File, n int) (int, error) {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || n == 0 || end == 0 {
		return 0, err
	}
	const chunk = 64 << 10
	b := make([]byte, chunk)
	ends := 0 // of lines, but for the last one's
	for at := end; at > 0; {
		size := min(at, chunk)
		at -= size
		if _, err := file.ReadAt(b[:size], at); err != nil {
			return 0, err
		}
		for i := size - 1; i >= 0; i-- {
			if b[i] != '\n' || at+i == end-1 {
				continue
			}
			if ends++; ends == n {
				_, err := file.Seek(at+i+1, io.SeekStart)
				return n, err
			}
		}
	}
	_, err = file.Seek(0, io.SeekStart)
	return ends + 1, err
}
