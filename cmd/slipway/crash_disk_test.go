package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crashDisk is a file system of its own for the data directory, from which a power cut can be had: what
// was not synced is gone. It is ext4, set to bring nothing to disk unasked, and the power cut is ext4's
// own: its shutdown without flushing the journal, which file systems are tested with (fstests' godown).
// What it leaves out is a disk that forgets what it was told to flush.
type crashDisk struct {
	image, mountPoint string
}

// ext4Shutdown is EXT4_IOC_SHUTDOWN of linux/fs/ext4, and noLogFlush its EXT4_GOING_FLAGS_NOLOGFLUSH.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

const crashMount = "loop,noauto_da_alloc,commit=600"

// newCrashDisk makes and mounts one. It needs the rights of root and a free loop device; the error says
// what is missing.
func newCrashDisk(t *testing.T, dir string) (*crashDisk, error) {
	memory, err := os.MkdirTemp("/dev/shm", "slipway-crash-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { os.RemoveAll(memory) })
	d := &crashDisk{image: filepath.Join(memory, "disk"), mountPoint: filepath.Join(dir, "disk")}
	if err := os.Mkdir(d.mountPoint, 0o711); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(d.image, 4<<30); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	if err := d.mount(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := d.unmount(); err != nil {
			t.Error(err)
		}
	})
	return d, os.Chmod(d.mountPoint, 0o711)
}

func (d *crashDisk) mount() error {
	if out, err := exec.Command("mount", "-t", "ext4", "-o", crashMount, d.image, d.mountPoint).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}

func (d *crashDisk) unmount() error {
	return until(20*time.Second, func() error {
		if out, err := exec.Command("umount", d.mountPoint).CombinedOutput(); err != nil {
			return fmt.Errorf("umount: %w: %s", err, out)
		}
		return nil
	})
}

// cut cuts the power: from this instant on nothing reaches the disk.
func (d *crashDisk) cut() error {
	f, err := os.Open(d.mountPoint)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, noLogFlush); err != nil {
		return fmt.Errorf("shutting the file system down: %w", err)
	}
	return nil
}

// again is the disk after the power is back. It is a copy: the file system that was shut down is gone only
// when no other namespace has it mounted any more, such as that of a sandbox that is being taken down, of
// whomever, and until then to mount the image would be to mount that one.
func (d *crashDisk) again() error {
	if err := d.unmount(); err != nil {
		return err
	}
	next := d.image + "+"
	if out, err := exec.Command("cp", "--sparse=always", d.image, next).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	if err := os.Remove(d.image); err != nil {
		return err
	}
	d.image = next
	return d.mount()
}
