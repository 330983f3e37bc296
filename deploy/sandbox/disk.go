package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// diskSlack is by how much the folders in memory are larger than the disk limit.
const diskSlack = 1 << 20

// An inode is charged for each file and folder beside its blocks, since a million empty files are not
// free: what the file system has of bytes for each inode, within these bounds. So whoever may take a
// tenth of the disk may take a tenth of its inodes.
const (
	leastInode = 256
	mostInode  = 16 << 10 // as ext4 has, unless made otherwise
)

// inodeCost is what an inode of dir's file system is charged.
func inodeCost(dir string) int64 {
	var system unix.Statfs_t
	if unix.Statfs(dir, &system) != nil || system.Files == 0 { // such as btrfs, which makes them as needed
		return leastInode
	}
	return min(mostInode, max(leastInode, int64(system.Blocks/system.Files)*system.Bsize))
}

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
	l := &look{seen: map[inode]struct{}{}}
	for _, dir := range d.watched {
		var stat unix.Stat_t
		if unix.Lstat(dir, &stat) == nil {
			l.inode = inodeCost(dir)
			l.count(&stat, false)
			l.folder(unix.AT_FDCWD, dir, 0)
		}
	}
	for _, pid := range pids {
		for _, stat := range deletedFiles(pid) {
			l.count(&stat, true)
		}
	}
	return l.sum
}

// look is one walk. It goes from folder to folder by descriptors, since a command can hide what it
// writes below a path that is too long to be named.
type look struct {
	sum   amount
	inode int64 // what one is charged
	seen  map[inode]struct{}
}

// maxDepth is how deep folders may be in one another. Deeper ones would take a descriptor each to look
// into, so they count as more than any limit.
const (
	maxDepth = 4096
	tooMuch  = 1 << 50
)

func (l *look) folder(parent int, name string, depth int) {
	if depth > maxDepth {
		l.sum.bytes += tooMuch
		return
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	folder := os.NewFile(uintptr(fd), name)
	defer folder.Close()
	names, _ := folder.Readdirnames(-1) // some, if it changes meanwhile
	for _, name := range names {
		var stat unix.Stat_t
		if unix.Fstatat(fd, name, &stat, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		l.count(&stat, false)
		if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
			l.folder(fd, name, depth+1)
		}
	}
}

func (l *look) count(stat *unix.Stat_t, always bool) {
	kind := stat.Mode & unix.S_IFMT
	if stat.Nlink > 1 && kind != unix.S_IFDIR || always {
		key := inode{stat.Dev, stat.Ino}
		if _, found := l.seen[key]; found {
			return
		}
		l.seen[key] = struct{}{}
	}
	l.sum.bytes += stat.Blocks*512 + l.inode
	if kind == unix.S_IFREG {
		l.sum.largest = max(l.sum.largest, stat.Size)
	}
}

// deletedFiles returns the files on disk that the process holds open and that have no name any more.
func deletedFiles(pid int) []unix.Stat_t {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []unix.Stat_t
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		target, err := os.Readlink(path)
		if err != nil || !strings.HasSuffix(target, " (deleted)") || strings.HasPrefix(target, "/memfd:") {
			continue
		}
		var stat unix.Stat_t
		if unix.Stat(path, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Nlink == 0 && !onTmpfs(path) {
			files = append(files, stat)
		}
	}
	return files
}

func onTmpfs(path string) bool {
	var system unix.Statfs_t
	return unix.Statfs(path, &system) == nil && system.Type == unix.TMPFS_MAGIC
}
