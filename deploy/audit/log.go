package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"slipway/deploy"
)

// ErrBroken says that a write or a sync failed, so that nobody can tell what a crash would leave on
// disk. The log takes no events until [Log.Repair] or the next [Open] has put that right.
var ErrBroken = errors.New("the audit log takes no events until it is repaired")

// precision is that of the times recorded, which databases can hold too.
const precision = time.Microsecond

// Config says how a log is kept. The zero value is usable.
type Config struct {
	Source string           // the CloudEvents source of its lines; "slipway" if empty
	Now    func() time.Time // time.Now if nil
	Logger *slog.Logger     // slog.Default if nil
}

// Log is the audit log, opened for appending by this process alone. It is safe for concurrent use.
type Log struct {
	dir    string
	config Config
	folder *os.File // holds the lock

	mu     sync.Mutex
	file   file   // open for appending; nil until the first append
	name   string // of file
	newest string // the newest file in the folder; later than tail.name if it has no line yet
	tail   tail
	head   Head
	broken error

	openFile func(path string) (file, error) // tests put failing ones here
}

// file is what the log needs of an *os.File.
type file interface {
	Write(b []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Open opens the log in dir, makes the folder if there is none, and locks it: [ErrHeld] says that
// another process has it. A last line that a crash left torn is moved to a file beside the log; that
// is recorded as an [EventRepaired].
func Open(dir string, config Config) (*Log, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	folder, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, config: config.filled(), folder: folder, openFile: openAppending}
	if err := l.start(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (c Config) filled() Config {
	if c.Source == "" {
		c.Source = "slipway"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func openAppending(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// start finds the end of the log, mends it, and records what was mended.
func (l *Log) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.cutTorn(); err != nil {
		return err
	}
	if err := l.findEnd(); err != nil {
		return err
	}
	return l.recordTorn()
}

// findEnd reads the newest file that has a line.
func (l *Log) findEnd() error {
	names, err := fileNames(l.dir)
	if err != nil {
		return err
	}
	l.tail, l.head, l.newest = tail{sum: sha256.New()}, Head{}, ""
	if len(names) > 0 {
		l.newest = names[len(names)-1]
	}
	for i := len(names) - 1; i >= 0; i-- {
		s, err := scanFile(l.dir, names[i])
		if err != nil {
			return err
		}
		if s.broken != nil {
			return fmt.Errorf("%s: line %d: %w", s.name, s.count, s.broken)
		}
		if s.count > 0 {
			l.tail, l.head = s.tail, Head{Sequence: s.last.Event.Sequence, Hash: s.hash}
			return nil
		}
	}
	return nil
}

// Append gives the event its sequence and ID, and its time unless it has one, writes it, and returns
// it as recorded when it is on disk. An event without type or actor, or with data that is not JSON, is
// refused, and so is one that does not fit in a line ([ErrTooLarge]); nothing is written then.
// [ErrBroken] says that writing failed now or before. ctx is looked at before the event is written,
// never after.
func (l *Log) Append(ctx context.Context, e deploy.Event) (deploy.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return deploy.Event{}, fmt.Errorf("recording event %s: %w", e.Type, err)
	}
	return l.append(e)
}

func (l *Log) append(e deploy.Event) (deploy.Event, error) {
	if l.broken != nil {
		return deploy.Event{}, fmt.Errorf("recording event %s: %w: %w", e.Type, ErrBroken, l.broken)
	}
	line, name, err := l.next(e)
	if err != nil {
		return deploy.Event{}, err
	}
	raw, err := line.Encode()
	if err != nil {
		return deploy.Event{}, err
	}
	if err := l.write(name, raw); err != nil {
		l.broken = err
		if !errors.Is(err, errTouched) {
			l.undo(name)
		}
		return deploy.Event{}, fmt.Errorf("recording event %s: %w: %w", e.Type, ErrBroken, err)
	}
	if name != l.tail.name {
		l.tail = tail{name: name, sum: sha256.New()}
	}
	l.tail.add(raw)
	l.head = Head{Sequence: line.Event.Sequence, Hash: hashOf(raw)}
	return line.Event, nil
}

// next makes the line for e and says which file it goes to: today's, but never an older one than the
// log has already, whatever the clock says.
func (l *Log) next(e deploy.Event) (Line, string, error) {
	if e.Type == "" || e.Actor.Type == "" {
		return Line{}, "", fmt.Errorf("recording event %q: an event needs a type and an actor", e.Type)
	}
	now := l.config.Now().UTC().Truncate(precision)
	if e.At = e.At.Truncate(precision); e.At.IsZero() {
		e.At = now
	}
	e.Sequence, e.ID = l.head.Sequence+1, rand.Text()
	line := Line{Event: normal(e), Source: clean(l.config.Source), RecordedAt: now, Prev: l.head.Hash}
	if line.Prev == "" {
		line.Prev = noHash
	}
	name := max(fileName(now), l.newest)
	if l.tail.name != "" && name != l.tail.name {
		line.After = l.tail.file()
	}
	return line, name, nil
}

// write puts raw at the end of the named file and onto the disk.
func (l *Log) write(name string, raw []byte) error {
	fresh := l.file == nil || name != l.name
	if fresh {
		if err := l.turn(name); err != nil {
			return err
		}
	}
	if err := l.untouched(name); err != nil {
		return err
	}
	if _, err := l.file.Write(raw); err != nil {
		return fmt.Errorf("writing to the audit log: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("syncing the audit log: %w", err)
	}
	if !fresh {
		return nil
	}
	if err := l.folder.Sync(); err != nil {
		return fmt.Errorf("syncing the folder of the audit log: %w", err)
	}
	return nil
}

// errTouched says that somebody else wrote to the log.
var errTouched = errors.New("somebody has changed the newest file of the audit log")

// untouched checks that the open file is still the one in the folder and ends where this process left it:
// what is written to a file that somebody has replaced is lost.
func (l *Log) untouched(name string) error {
	open, ok := l.file.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil // a test's
	}
	is, err := open.Stat()
	if err != nil {
		return fmt.Errorf("looking at the audit log: %w", err)
	}
	there, err := os.Stat(filepath.Join(l.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errTouched, err)
	}
	if err != nil {
		return fmt.Errorf("looking at the audit log: %w", err)
	}
	if want := l.sizeOf(name); !os.SameFile(is, there) || there.Size() != want {
		return fmt.Errorf("%w: %s", errTouched, name)
	}
	return nil
}

// turn opens the named file instead of the present one.
func (l *Log) turn(name string) error {
	f, err := l.openFile(filepath.Join(l.dir, name))
	if err != nil {
		return fmt.Errorf("opening a file of the audit log: %w", err)
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.name, l.newest = f, name, name
	return nil
}

// undo takes away what a failed write may have left, so that a crash now does not find an event there
// that was refused. It may fail too, which changes nothing: the log is broken already.
func (l *Log) undo(name string) {
	if l.file == nil || l.name != name {
		return
	}
	err := l.file.Truncate(l.sizeOf(name))
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.config.Logger.Error("the end of the audit log could not be taken back", "file", name, "error", err)
	}
}

// sizeOf tells how many bytes of the named file, the newest, hold recorded events.
func (l *Log) sizeOf(name string) int64 {
	if name == l.tail.name {
		return l.tail.size
	}
	return 0
}

// Head tells where the log ends.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Dir is the log's folder.
func (l *Log) Dir() string { return l.dir }

// Close lets go of the log. Nothing is lost by not calling it.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = errors.New("it is closed")
	}
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	return l.folder.Close()
}
