package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// diskSlack is by how much the folders in memory are larger than the disk limit.
const diskSlack = 1 << 20

// entryCost is charged for each file and folder beside its blocks, for its inode: a million empty
// files are not free.
const entryCost = 256

// disk measures by how much a sandbox's folders have grown.
type disk struct {
	watched  []string
	baseline int64
	memory   []int // descriptors of the private folders in memory; they keep those readable after its end
}

// amount is what a look at folders finds.
type amount struct {
	bytes   int64
	largest int64 // size of the largest file
}

func newDisk(watched []string) *disk {
	d := &disk{watched: watched}
	d.baseline = d.look(nil).bytes
	return d
}

// open takes hold of the folders in memory of the sandbox whose first process is pid, and tells whether
// they exist yet.
func (d *disk) open(pid int) bool {
	if len(d.memory) > 0 {
		return true
	}
	for _, path := range []string{"/tmp", "/dev/shm"} {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/root%s", pid, path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if privateTmpfs(fd, path) {
			d.memory = append(d.memory, fd)
		} else {
			unix.Close(fd)
		}
	}
	return len(d.memory) > 0
}

// privateTmpfs tells whether fd is a tmpfs other than the host's at path: until the sandbox is set up its
// root is the host's.
func privateTmpfs(fd int, path string) bool {
	var system unix.Statfs_t
	var inside, host unix.Stat_t
	if unix.Fstatfs(fd, &system) != nil || unix.Fstat(fd, &inside) != nil || system.Type != unix.TMPFS_MAGIC {
		return false
	}
	return unix.Stat(path, &host) != nil || host.Dev != inside.Dev
}

func (d *disk) close() {
	for _, fd := range d.memory {
		unix.Close(fd)
	}
	d.memory = nil
}

// grown returns by how many bytes everything has grown. Files that were deleted but are still open in
// one of pids count.
func (d *disk) grown(pids []int) int64 {
	return d.look(pids).bytes - d.baseline + d.inMemory()
}

// inMemory returns the bytes that the private folders in memory hold.
func (d *disk) inMemory() int64 {
	var sum int64
	for _, fd := range d.memory {
		var system unix.Statfs_t
		if unix.Fstatfs(fd, &system) == nil {
			sum += int64(system.Blocks-system.Bfree) * system.Bsize
		}
	}
	return sum
}

// inode identifies a file, to count one with several names once.
type inode struct{ device, number uint64 }

// look walks the watched folders. What vanishes or cannot be read meanwhile is left out.
func (d *disk) look(pids []int) amount {
	var sum amount
	seen := map[inode]struct{}{}
	count := func(info fs.FileInfo, always bool) {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return
		}
		if stat.Nlink > 1 && !info.IsDir() || always {
			key := inode{stat.Dev, stat.Ino}
			if _, found := seen[key]; found {
				return
			}
			seen[key] = struct{}{}
		}
		sum.bytes += stat.Blocks*512 + entryCost
		if info.Mode().IsRegular() {
			sum.largest = max(sum.largest, stat.Size)
		}
	}
	for _, dir := range d.watched {
		_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // what cannot be seen is left out
			}
			if info, err := entry.Info(); err == nil {
				count(info, false)
			}
			return nil
		})
	}
	for _, pid := range pids {
		for _, info := range deletedFiles(pid) {
			count(info, true)
		}
	}
	return sum
}

// deletedFiles returns the files on disk that the process holds open and that have no name any more.
func deletedFiles(pid int) []fs.FileInfo {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []fs.FileInfo
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		target, err := os.Readlink(path)
		if err != nil || !strings.HasSuffix(target, " (deleted)") || strings.HasPrefix(target, "/memfd:") {
			continue
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || onTmpfs(path) {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink == 0 {
			files = append(files, info)
		}
	}
	return files
}

func onTmpfs(path string) bool {
	var system unix.Statfs_t
	return unix.Statfs(path, &system) == nil && system.Type == unix.TMPFS_MAGIC
}
