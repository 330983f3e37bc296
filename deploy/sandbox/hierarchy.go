package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is where cgroups are made: with v2 one folder, with v1 one for each controller.
type hierarchy struct {
	version int
	base    map[string]string // controller to the folder that holds the sandboxes' cgroups; with v2 only ""
	mounts  map[string]cgroupMount
}

// The controllers that v1 mounts one by one. Without the first two there are no limits worth the name.
const (
	memoryController = "memory"
	pidsController   = "pids"
	cpuController    = "cpu"
	acctController   = "cpuacct"
)

// serverLeaf is the cgroup that the server's own processes are put in: with v2 a cgroup that has
// children under limits may hold no processes itself.
const serverLeaf = "server"

// cgroupMount is a cgroup file system as /proc/self/mountinfo shows it.
type cgroupMount struct {
	point   string // where it is mounted
	root    string // the cgroup that is seen there
	version int
	options []string // the controllers, with v1
}

// findHierarchy finds a place for cgroups, makes the group's folder there, and proves that it can be
// written to.
func findHierarchy(root, group string) (*hierarchy, error) {
	if root == NoCgroups {
		return nil, errors.New("switched off")
	}
	if err := validName(group); err != nil {
		return nil, fmt.Errorf("cgroup folder: %w", err)
	}
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	h, err := findV1(mounts, root, group)
	if err != nil || h != nil {
		return h, err
	}
	return findV2(mounts, root, group)
}

func findV1(mounts []cgroupMount, root, group string) (*hierarchy, error) {
	h := &hierarchy{version: 1, base: map[string]string{}, mounts: map[string]cgroupMount{}}
	for _, controller := range []string{memoryController, pidsController, cpuController, acctController} {
		for _, m := range mounts {
			if m.version == 1 && slices.Contains(m.options, controller) {
				h.base[controller] = filepath.Join(m.point, below(root, m.point), group)
				h.mounts[controller] = m
				break
			}
		}
	}
	if h.base[memoryController] == "" || h.base[pidsController] == "" {
		return nil, nil
	}
	for _, dir := range slices.Sorted(maps.Values(h.base)) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("no cgroup to write to: %w", err)
		}
		if unix.Access(dir, unix.W_OK) != nil {
			return nil, fmt.Errorf("no cgroup to write to: %s belongs to somebody else", dir)
		}
	}
	return h, nil
}

func findV2(mounts []cgroupMount, root, group string) (*hierarchy, error) {
	for _, m := range mounts {
		if m.version != 2 {
			continue
		}
		parent := filepath.Join(m.point, below(root, m.point))
		if root == "" {
			own, err := ownCgroup(m)
			if err != nil {
				return nil, err
			}
			parent = own
		}
		dir := filepath.Join(parent, group)
		if err := delegate(parent, dir); err != nil {
			return nil, err
		}
		return &hierarchy{version: 2, base: map[string]string{"": dir}, mounts: map[string]cgroupMount{"": m}}, nil
	}
	return nil, errors.New("no cgroup file system is mounted")
}

// below makes root relative to the mount point, if it names it.
func below(root, point string) string {
	if rest, found := strings.CutPrefix(root, point+"/"); found {
		return rest
	}
	return root
}

// ownCgroup returns the v2 cgroup that is the server's to divide: its own, or the one above if it has
// been put into a leaf there.
func ownCgroup(m cgroupMount) (string, error) {
	dir, err := cgroupOf(m, "self")
	if err != nil {
		return "", err
	}
	if filepath.Base(dir) == serverLeaf {
		dir = filepath.Dir(dir)
	}
	return dir, mayDivide(dir)
}

// cgroupOf returns the folder of a process's v2 cgroup.
func cgroupOf(m cgroupMount, pid string) (string, error) {
	b, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		return "", fmt.Errorf("finding a process's cgroup: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		path, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		rest, err := filepath.Rel(m.root, path)
		if err != nil || rest == ".." || strings.HasPrefix(rest, "../") {
			return "", fmt.Errorf("cgroup %s is not visible below %s", path, m.point)
		}
		return filepath.Join(m.point, rest), nil
	}
	return "", errors.New("no v2 cgroup")
}

// mayDivide refuses a cgroup that systemd manages and has not delegated: it would take our changes
// back at its next occasion.
func mayDivide(dir string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	value := make([]byte, 8)
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return nil
		}
	}
	return fmt.Errorf("systemd has not delegated %s: run the server as a unit with Delegate=yes, or by: systemd-run --scope -p Delegate=yes", dir)
}

// delegate makes dir below parent and turns controllers on in both, which the kernel allows only while no
// process is in parent itself.
func delegate(parent, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("no cgroup to write to: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading which cgroup controllers there are: %w", err)
	}
	available, want := strings.Fields(string(b)), ""
	for _, controller := range []string{memoryController, pidsController, cpuController} {
		if slices.Contains(available, controller) {
			want += " +" + controller
		} else if controller != cpuController {
			return fmt.Errorf("the cgroup controller %s is not delegated to %s", controller, parent)
		}
	}
	want = strings.TrimSpace(want)
	err = writeFile(filepath.Join(parent, "cgroup.subtree_control"), want)
	if errors.Is(err, unix.EBUSY) {
		if err := moveToLeaf(parent); err != nil {
			return err
		}
		err = writeFile(filepath.Join(parent, "cgroup.subtree_control"), want)
	}
	if err == nil {
		err = writeFile(filepath.Join(dir, "cgroup.subtree_control"), want)
	}
	if err != nil {
		return fmt.Errorf("turning cgroup controllers on: %w", err)
	}
	return nil
}

// limitsCPU tells whether CPU can be limited here.
func (h *hierarchy) limitsCPU() bool {
	if h.version == 1 {
		return h.base[cpuController] != ""
	}
	b, err := os.ReadFile(filepath.Join(h.base[""], "cgroup.subtree_control"))
	return err == nil && slices.Contains(strings.Fields(string(b)), cpuController)
}

func moveToLeaf(parent string) error {
	leaf := filepath.Join(parent, serverLeaf)
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return fmt.Errorf("making the server's own cgroup: %w", err)
	}
	pids, err := readPIDs(parent)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		err := writeFile(filepath.Join(leaf, "cgroup.procs"), strconv.Itoa(pid))
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("moving process %d to the server's own cgroup: %w", pid, err)
		}
	}
	return nil
}

func cgroupMounts() ([]cgroupMount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("finding cgroups: %w", err)
	}
	defer f.Close()
	var mounts []cgroupMount
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m, found := parseMount(lines.Text()); found {
			mounts = append(mounts, m)
		}
	}
	return mounts, lines.Err()
}

// parseMount reads a line of mountinfo, see proc(5): fields, a lone hyphen, then type, source, options.
func parseMount(line string) (cgroupMount, bool) {
	left, right, found := strings.Cut(line, " - ")
	fields, rest := strings.Fields(left), strings.Fields(right)
	if !found || len(fields) < 5 || len(rest) < 3 {
		return cgroupMount{}, false
	}
	m := cgroupMount{root: fields[3], point: fields[4], options: strings.Split(rest[2], ",")}
	switch rest[0] {
	case "cgroup":
		m.version = 1
	case "cgroup2":
		m.version = 2
	default:
		return cgroupMount{}, false
	}
	return m, true
}

// names lists the cgroups that exist, sorted.
func (h *hierarchy) names() ([]string, error) {
	dir := h.base[""]
	if h.version == 1 {
		dir = h.base[pidsController]
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing cgroups: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// group returns the cgroup of that name, which may not exist.
func (h *hierarchy) group(name string) *cgroup {
	g := &cgroup{version: h.version, dirs: map[string]string{}, mounts: h.mounts}
	for controller, dir := range h.base {
		g.dirs[controller] = filepath.Join(dir, name)
	}
	return g
}

// create makes a fresh cgroup of that name. One left over by a crash, with nothing running in it, is
// replaced.
func (h *hierarchy) create(name string) (*cgroup, error) {
	g := h.group(name)
	if g.exists() {
		if pids, _ := g.pids(); len(pids) > 0 {
			return nil, fmt.Errorf("sandbox %s is running already (process %d)", name, pids[0])
		}
		if err := g.remove(time.Second); err != nil {
			return nil, err
		}
	}
	for _, dir := range g.folders() {
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrNotExist) { // another server of ours has tidied up
			err = errors.Join(h.restore(filepath.Dir(dir)), os.Mkdir(dir, 0o755))
		}
		if err != nil {
			_ = g.remove(0)
			return nil, fmt.Errorf("making a cgroup: %w", err)
		}
	}
	return g, nil
}

func (h *hierarchy) restore(dir string) error {
	if h.version == 2 {
		return delegate(filepath.Dir(dir), dir)
	}
	return os.MkdirAll(dir, 0o755)
}

// tidy removes the folders that hold the cgroups, if there are none.
func (h *hierarchy) tidy() error {
	for _, dir := range h.base {
		err := unix.Rmdir(dir)
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing cgroup %s: %w", dir, err)
		}
	}
	return nil
}
