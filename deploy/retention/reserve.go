package retention

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// Slices of a reserve.
const (
	sliceCount = 8
	sliceSize  = 1 << 20
)

// scarce is how little is free where what failed may have failed for want of room, in bytes.
const scarce = 256 << 10

// Reserve is room that is kept for records: whatever fills the disk, a deployment in flight can be put
// back and say so. It is files of a folder that hold nothing, and one of them is given up when a record
// does not fit. It is safe for concurrent use.
type Reserve struct {
	dir    string
	next   Recorder
	logger *slog.Logger
	mu     sync.Mutex
}

// NewReserve returns a recorder that passes on to next, with a reserve in the folder dir. It touches
// nothing.
func NewReserve(dir string, next Recorder, logger *slog.Logger) *Reserve {
	return &Reserve{dir: dir, next: next, logger: logger}
}

// Record records the event, with room of the reserve if there is no other.
func (r *Reserve) Record(ctx context.Context, e deploy.Event) (deploy.Event, error) {
	recorded, err := r.next.Record(ctx, e)
	for err != nil && r.Relieve(err) {
		recorded, err = r.next.Record(ctx, e)
	}
	return recorded, err
}

// Relieve gives up a part of the reserve if an error may be for want of room. It tells whether to try
// again.
func (r *Reserve) Relieve(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.Full() && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return false
	}
	for i := range sliceCount {
		if os.Remove(r.slice(i)) == nil {
			r.logger.Error("the disk is full: a part of the reserve is given to the records", "because", err)
			return true
		}
	}
	return false
}

// Full tells whether the disk is full to the last bytes, or inodes, whatever the reserve still has.
func (r *Reserve) Full() bool {
	free, err := freeAt(filepath.Dir(r.dir))
	return err == nil && (free.bytes < scarce || free.inodes < 16)
}

func (r *Reserve) slice(i int) string { return filepath.Join(r.dir, strconv.Itoa(i)) }

// Fill makes what the reserve lacks. Its error means that there is no room for it.
func (r *Reserve) Fill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("making the reserve: %w", err)
	}
	for i := range sliceCount {
		if err := makeSlice(r.slice(i)); err != nil {
			return fmt.Errorf("making the reserve: %w", err)
		}
	}
	return nil
}

// makeSlice makes a file that takes its room now, whole or not at all.
func makeSlice(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path+durable.NewSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, sliceSize)
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = f.Write(make([]byte, sliceSize))
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+durable.NewSuffix, path)
	}
	if err != nil {
		_ = os.Remove(path + ".new")
	}
	return err
}
