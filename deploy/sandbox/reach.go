package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// checkMounts finds what bubblewrap would fail at with fewer words: sources that the sandbox's user cannot
// reach, and sources and targets that somebody replaced by symbolic links.
func (s *Sandbox) checkMounts(spec *Spec) error {
	uid, gid := s.HostID(spec.ID)
	for _, path := range s.config.Toolchains {
		if err := s.reachable(path, uint32(uid), uint32(gid)); err != nil {
			return fmt.Errorf("toolchain %s: %w", path, err)
		}
	}
	for i, m := range spec.Mounts {
		info, err := os.Lstat(m.Source)
		if err != nil {
			return fmt.Errorf("mounting %s: %w", m.Source, unwrapPath(err))
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("mounting %s: it is a symbolic link", m.Source)
		}
		if err := s.reachable(m.Source, uint32(uid), uint32(gid)); err != nil {
			return fmt.Errorf("mounting %s: %w", m.Source, err)
		}
		if m.Scratch != "" {
			if err := s.reachable(m.Scratch, uint32(uid), uint32(gid)); err != nil {
				return fmt.Errorf("mounting %s over %s: %w", m.Scratch, m.Source, err)
			}
		}
		if err := throughLinks(m, spec.Mounts[:i]); err != nil {
			return err
		}
	}
	return nil
}

// reachable tells whether uid may search every folder above path. Access control lists are not looked
// at. An ordinary user's server could not have looked itself.
func (s *Sandbox) reachable(path string, uid, gid uint32) error {
	if !s.root {
		return nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return unwrapPath(err)
		}
		if !searchable(info, uid, gid) {
			return fmt.Errorf("user %d cannot reach it, because %s has mode %04o and belongs to user %d: let others search it (chmod o+x %s)",
				uid, dir, info.Mode().Perm(), owner(info), dir)
		}
		if dir == "/" {
			return nil
		}
	}
}

func searchable(info fs.FileInfo, uid, gid uint32) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case ok && stat.Uid == uid:
		return mode&0o100 != 0
	case ok && stat.Gid == gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

func owner(info fs.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return 0
}

// throughLinks refuses a target that lies in an earlier mount behind a symbolic link, which the owner
// of that mount could have pointed anywhere.
func throughLinks(m Mount, earlier []Mount) error {
	for _, outer := range earlier {
		rest, found := strings.CutPrefix(filepath.Clean(m.Target), filepath.Clean(outer.Target)+"/")
		if !found {
			continue
		}
		root, err := os.OpenRoot(outer.Source)
		if err != nil {
			return fmt.Errorf("mounting on %s: %w", m.Target, err)
		}
		defer root.Close()
		path := ""
		for part := range strings.SplitSeq(rest, "/") {
			path = filepath.Join(path, part)
			info, err := root.Lstat(path)
			if err == nil && info.Mode()&fs.ModeSymlink != 0 {
				return fmt.Errorf("mounting on %s: %s is a symbolic link", m.Target, filepath.Join(outer.Target, path))
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("mounting on %s: %w", m.Target, err)
			}
		}
	}
	return nil
}

// unwrapPath drops operation and path of err, which the caller names.
func unwrapPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}

// Reachable tells, by its error, why the user that Spec.ID id runs as cannot get to path: a folder above
// it that it may not search. It does not look at path itself.
func (s *Sandbox) Reachable(path string, id uint32) error {
	uid, gid := s.HostID(id)
	return s.reachable(path, uint32(uid), uint32(gid))
}
