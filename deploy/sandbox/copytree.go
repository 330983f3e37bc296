package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// copier copies a tree that nobody changes meanwhile.
type copier struct {
	from, to string
	linked   map[inode]string // files with several names, to their first copy
	folders  []folderTimes
}

// folderTimes are set at last, since filling a folder changes them.
type folderTimes struct {
	path string
	info fs.FileInfo
}

// copyTree copies what is in from into the folder to, with owners, modes, times and hard links. No two
// files of the copies are one; where the file system shares blocks until one is written to, it does.
// Sockets and devices are left out; of what its owner may not read there is an empty one.
func copyTree(ctx context.Context, from, to string) error {
	c := &copier{from: from, to: to, linked: map[inode]string{}}
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return nil // of a folder, whose empty copy is there
			}
			return err
		}
		return c.copy(path, e)
	})
	for i := len(c.folders) - 1; i >= 0 && err == nil; i-- {
		err = dressTimes(c.folders[i].path, c.folders[i].info)
	}
	return err
}

func (c *copier) copy(path string, e fs.DirEntry) error {
	name, err := filepath.Rel(c.from, path)
	if err != nil {
		return err
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no owner is known", name)
	}
	to := filepath.Join(c.to, name)
	if stat.Nlink > 1 && !info.IsDir() {
		key := inode{stat.Dev, stat.Ino}
		if first, found := c.linked[key]; found {
			return os.Link(first, to)
		}
		c.linked[key] = to
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		if name != "." {
			err = os.Mkdir(to, 0o700)
		}
		c.folders = append(c.folders, folderTimes{to, info})
	case 0:
		err = copyFile(path, to)
	case fs.ModeSymlink:
		var target string
		if target, err = os.Readlink(path); err == nil {
			err = os.Symlink(target, to)
		}
	case fs.ModeNamedPipe:
		err = unix.Mkfifo(to, 0o600)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Lchown(to, int(stat.Uid), int(stat.Gid)); err != nil || info.IsDir() {
		return err
	}
	return dressTimes(to, info)
}

// copyFile copies a file, by the kernel, which shares blocks where it can.
func copyFile(path, to string) error {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	in, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrPermission) {
		return out.Close()
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	defer in.Close()
	return errors.Join(copyData(out, in), out.Close())
}

// copyData copies what is data of a file, and leaves the holes: a file can be many times as large as the disk.
func copyData(out, in *os.File) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	for end := int64(0); end < info.Size(); {
		begin, err := in.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // only a hole is left
		}
		if err != nil {
			return err
		}
		if end, err = in.Seek(begin, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err = in.Seek(begin, io.SeekStart); err == nil {
			_, err = out.Seek(begin, io.SeekStart)
		}
		if err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, end-begin); err != nil {
			return err
		}
	}
	return out.Truncate(info.Size())
}

// dressTimes gives the mode and the times of the original.
func dressTimes(path string, info fs.FileInfo) error {
	if info.Mode()&fs.ModeSymlink == 0 {
		if err := os.Chmod(path, info.Mode()); err != nil {
			return err
		}
	}
	at := unix.NsecToTimespec(info.ModTime().UnixNano())
	if info.ModTime().Before(time.Unix(0, 0)) {
		return nil
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}
