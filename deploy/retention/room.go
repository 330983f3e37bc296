package retention

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy"
)

// size is what a tree takes on disk.
type size struct{ bytes, inodes int64 }

// minInodes must be free for a push, also of an app that takes fewer.
const minInodes = 1000

// Room refuses a push for which the data directory's file system has no room: what the app's last
// release took, or more if the operator wants more to be free. The refusal is a [deploy.Rejection]; it
// also has the housekeeping begin at once.
func (k *Keeper) Room(app deploy.AppName) error {
	free, err := k.free()
	if err != nil {
		return err
	}
	need := k.need(app)
	text := ""
	switch {
	case free.bytes < need.bytes:
		text = fmt.Sprintf("%s free, %s needed", inBytes(free.bytes), inBytes(need.bytes))
	case free.inodes < need.inodes:
		text = fmt.Sprintf("%d inodes free, %d needed", free.inodes, need.inodes)
	case k.config.Reserve.Fill() != nil:
		text = inBytes(free.bytes) + " free, which the server's own records need"
	default:
		return nil
	}
	k.config.Logger.Error("too little room for a push", "app", app, "room", text)
	select {
	case k.short <- struct{}{}:
	default:
	}
	return deploy.Reject(deploy.CodeUnavailable, "the server's disk is full: %s", text).
		WithHint("this is not your revision's fault; the server is clearing up now: push again in a minute, or tell an admin")
}

// Spacious tells whether there is room for more than the app's next push. It looks through the release
// that serves if it has not yet.
func (k *Keeper) Spacious(ctx context.Context, app deploy.App) bool {
	err := k.measure(ctx, app)
	free, cannot := k.free()
	need := k.need(app.Name)
	return err == nil && cannot == nil && free.bytes >= 2*need.bytes && free.inodes >= 2*need.inodes
}

func (k *Keeper) need(app deploy.AppName) size {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.took[app]
	return size{bytes: max(last.bytes, k.config.Policy.MinFree), inodes: max(last.inodes, minInodes)}
}

func (k *Keeper) free() (size, error) { return freeAt(string(k.config.Layout)) }

// freeAt is what an ordinary user may still take on the file system of dir.
func freeAt(dir string) (size, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return size{}, fmt.Errorf("looking for room on the data directory's file system: %w", err)
	}
	free := size{bytes: int64(st.Bavail) * st.Bsize, inodes: int64(st.Ffree)}
	if st.Files == 0 {
		free.inodes = 1 << 62 // such as btrfs, which makes them as needed
	}
	return free, nil
}

// measure keeps in mind what the release that serves takes, as a guess at what the next one will.
func (k *Keeper) measure(ctx context.Context, app deploy.App) error {
	state, err := k.config.Records.TargetState(ctx, targetOf(app))
	if err != nil {
		return fmt.Errorf("reading the state of %s: %w", app.Name, err)
	}
	k.mu.Lock()
	known := k.took[app.Name].release == state.Serving
	k.mu.Unlock()
	if known {
		return nil
	}
	s, _ := sizeOf(ctx, k.config.Layout.Release(app.Name, state.Serving))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.took[app.Name] = measured{size: s, release: state.Serving}
	return nil
}

// measured is what a release takes.
type measured struct {
	size
	release deploy.Number
}

// sizeOf adds up what a tree takes, following no link, and tells when any of it was used last. What
// cannot be read counts nothing.
func sizeOf(ctx context.Context, dir string) (s size, used time.Time) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fs.SkipAll
		}
		if err != nil {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		s.bytes += st.Blocks * 512
		s.inodes++
		for _, at := range []time.Time{info.ModTime(), time.Unix(st.Atim.Sec, st.Atim.Nsec)} {
			if !e.IsDir() && at.After(used) {
				used = at
			}
		}
		return nil
	})
	return s, used
}

// inBytes writes a size for people.
func inBytes(n int64) string {
	if n >= 1<<30 && n%(1<<30) == 0 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
