package build

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"slipway/deploy/durable"
)

// program is the file to mount as the program inside. Where the sandbox's user cannot reach the original,
// such as below root's home, it is a copy in RunDir, made when the original has changed.
func (b *Builder) program(uid int) (string, error) {
	original, err := filepath.EvalSymlinks(b.config.Executable[0])
	if err != nil || uid == os.Getuid() || reachable(original) {
		return original, err
	}
	b.copying.Lock()
	defer b.copying.Unlock()
	place := filepath.Join(b.config.RunDir, b.runName("program"))
	want, err := os.Stat(original)
	if err != nil {
		return "", err
	}
	have, err := os.Lstat(place)
	if err == nil && have.Size() == want.Size() && have.ModTime().Equal(want.ModTime()) {
		return place, nil
	}
	return place, copyProgram(original, place, want)
}

// reachable tells whether everybody may search the folders above path.
func reachable(path string) bool {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// copyProgram puts a copy at place in one step, for readers as they come. What a killed server has left of one is
// used again.
func copyProgram(original, place string, info os.FileInfo) error {
	from, err := os.Open(original)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(place+durable.NewSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o700)
	if err != nil {
		return err
	}
	defer os.Remove(to.Name())
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Chmod(0o755), to.Close()); err != nil {
		return fmt.Errorf("copying %s: %w", original, err)
	}
	if err := os.Chtimes(to.Name(), info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return os.Rename(to.Name(), place)
}
