package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// View returns where a mount with that Scratch is on the host, as far as the host sees it: what a command
// works in where there is no inside ([Sandbox.Inside]).
func View(scratch string) string { return filepath.Join(scratch, "view") }

// Where an overlay keeps what was written, and what it needs for itself.
func upper(scratch string) string { return filepath.Join(scratch, "upper") }
func inner(scratch string) string { return filepath.Join(scratch, "work") }

// source is what bubblewrap binds.
func (m Mount) source() string {
	if m.Scratch != "" {
		return View(m.Scratch)
	}
	return m.Source
}

// makeScratch makes the folders of mounts whose writes go elsewhere, with the owner and the mode of what
// they cover.
func (p *Process) makeScratch() error {
	for _, m := range p.spec.Mounts {
		if m.Scratch == "" {
			continue
		}
		err := removeTree(m.Scratch)
		for _, dir := range []string{m.Scratch, upper(m.Scratch), inner(m.Scratch), View(m.Scratch)} {
			if err == nil {
				err = os.Mkdir(dir, 0o755)
			}
		}
		if err == nil {
			err = dress(m.Source, upper(m.Scratch), View(m.Scratch))
		}
		if err != nil {
			return fmt.Errorf("making the scratch folder of %s: %w", m.Target, err)
		}
	}
	return nil
}

// dress gives folders the owner and the mode of another one.
func dress(like string, dirs ...string) error {
	info, err := os.Lstat(like)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := os.Lchown(dir, int(stat.Uid), int(stat.Gid)); err != nil {
				return err
			}
		}
		if err := os.Chmod(dir, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// removeScratch removes what the command wrote there.
func (p *Process) removeScratch() error {
	var failed []error
	for _, m := range p.spec.Mounts {
		if m.Scratch != "" {
			failed = append(failed, removeTree(m.Scratch))
		}
	}
	return errors.Join(failed...)
}

// layer makes the views of mounts with a scratch folder: overlays in a mount namespace that the calling
// thread, which must be locked to its goroutine, then has for itself and passes on to what it forks, so
// that they vanish with it, whatever happens to this process; copies where there can be no overlay. It
// tells whether the thread is still in the namespace of all others.
func (p *Process) layer(ctx context.Context) (home bool, err error) {
	home = true
	for _, m := range p.spec.Mounts {
		if m.Scratch == "" {
			continue
		}
		if home && p.sandbox.root && !p.sandbox.config.CopyScratch {
			home = !ownMounts()
		}
		if !home && overlay(m) {
			continue
		}
		if err := copyTree(ctx, m.Source, View(m.Scratch)); err != nil {
			return home, fmt.Errorf("copying %s: %w", m.Source, err)
		}
		p.copied = true
	}
	if p.copied && p.disk != nil {
		p.disk.baseline = p.disk.look(nil).bytes
	}
	return home, nil
}

// ownMounts gives the calling thread a mount namespace of its own, from which nothing gets out. It tells
// whether the thread has left that of the others.
func ownMounts() bool {
	return unix.Unshare(unix.CLONE_NEWNS) == nil
}

// overlay mounts the view of m. Not every kernel can, nor every file system that a scratch folder is on. Where
// the kernel finds no room for the overlay's own folder it mounts one that can only be read, and says so in its
// log alone: a command in it would fail for that, and not for want of room.
func overlay(m Mount) bool {
	if strings.ContainsAny(m.Source+m.Scratch, `:,\`) {
		return false // they would have to be escaped, differently by kernel
	}
	if unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") != nil {
		return false
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", m.Source, upper(m.Scratch), inner(m.Scratch))
	// Without redirect_dir folders of the source cannot be renamed; without volatile the end of the overlay
	// has to wait until the whole disk is synced, for files that are removed then.
	for _, more := range []string{",redirect_dir=on,volatile", ",redirect_dir=on", ""} {
		if unix.Mount("overlay", View(m.Scratch), "overlay", unix.MS_NOSUID|unix.MS_NODEV, options+more) != nil {
			continue
		}
		var made unix.Statfs_t
		if unix.Statfs(View(m.Scratch), &made) == nil && made.Flags&unix.ST_RDONLY == 0 {
			return true
		}
		_ = unix.Unmount(View(m.Scratch), 0) // if it stays, the copy cannot be written, either, and says so
		return false
	}
	return false
}

// removeTree is os.RemoveAll for trees that hold folders nobody may write to.
func removeTree(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = os.Chmod(name, 0o700) // what cannot be helped shows in RemoveAll
		}
		return nil
	})
	return os.RemoveAll(path)
}
