package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// insideID is the user and group inside, whoever that is on the host.
const insideID = 1000

// systemFolders hold the host's programs and libraries. Where the host has a symbolic link, there is one
// inside.
func systemFolders() []string { return []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64"} }

// systemFiles are what programs need of /etc: certificates (not their private keys), what the linker and
// update-alternatives left, time, names of protocols and types, fonts, and the configuration of language
// runtimes whose own folder in /usr only links to it. No user, no secret, no host name.
func systemFiles() []string {
	return []string{
		"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls", "/etc/pki/ca-trust/extracted", "/etc/crypto-policies",
		"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
		"/etc/localtime", "/etc/os-release", "/etc/mime.types", "/etc/protocols", "/etc/services", "/etc/fonts",
	}
}

// bubblewrap finds the program.
func (s *Sandbox) bubblewrap() (string, error) {
	if s.config.Bubblewrap != "" {
		return s.config.Bubblewrap, nil
	}
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return "", errors.New("bubblewrap is not installed: the program bwrap is not in PATH")
	}
	return path, nil
}

// descriptors are the files that bubblewrap inherits, numbered from 3 as exec.Cmd.ExtraFiles are.
type descriptors struct{ files []*os.File }

func (d *descriptors) add(f *os.File) string {
	d.files = append(d.files, f)
	return strconv.Itoa(2 + len(d.files))
}

// data adds a file in memory with that content, read from its beginning.
func (d *descriptors) data(content []byte) (string, error) {
	fd, err := unix.MemfdCreate("sandbox", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	number := d.add(f)
	if _, err = f.Write(content); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		return "", fmt.Errorf("writing a file in memory: %w", err)
	}
	return number, nil
}

func (d *descriptors) close() {
	for _, f := range d.files {
		f.Close()
	}
}

// arguments returns bubblewrap's options for spec, which are passed on a pipe where nobody can read
// them later. status is the descriptor that gets its reports.
func (s *Sandbox) arguments(spec *Spec, d *descriptors, status string) ([]string, error) {
	args := []string{
		"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup",
		"--uid", strconv.Itoa(insideID), "--gid", strconv.Itoa(insideID), "--hostname", "sandbox",
		"--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session",
		"--json-status-fd", status, "--clearenv",
	}
	if !spec.HostNetwork {
		args = append(args, "--unshare-net")
	}
	filter, err := s.seccomp()
	if err != nil {
		return nil, err
	}
	number, err := d.data(filter)
	if err != nil {
		return nil, err
	}
	args = append(args, "--seccomp", number)
	args = append(args, systemMounts()...)
	if args, err = appendFiles(args, spec, d); err != nil {
		return nil, err
	}
	args = append(args, "--proc", "/proc", "--dev", "/dev", "--symlink", "../tmp", "/var/tmp", "--dir", "/run")
	args = append(args, tmpfs(spec, "/dev/shm")...)
	args = append(args, "--remount-ro", "/dev")
	args = append(args, temporary(spec)...)
	for _, dir := range s.config.Toolchains {
		args = append(args, "--ro-bind", dir, dir)
	}
	for _, m := range spec.Mounts {
		option := "--ro-bind"
		if m.Writable || m.Scratch != "" {
			option = "--bind"
		}
		args = append(args, option, m.source(), m.Target)
	}
	args = append(args, "--remount-ro", "/", "--chdir", spec.Dir)
	for _, e := range spec.Env {
		name, value, _ := strings.Cut(e, "=")
		args = append(args, "--setenv", name, value)
	}
	return args, nil
}

func systemMounts() []string {
	args := []string{"--ro-bind", "/usr", "/usr"}
	for _, dir := range systemFolders() {
		if target, err := os.Readlink(dir); err == nil {
			args = append(args, "--symlink", target, dir)
		} else {
			args = append(args, "--ro-bind-try", dir, dir)
		}
	}
	for _, path := range append(systemFiles(), runtimeFolders()...) {
		if target := linkIntoUsr(path); target != "" {
			args = append(args, "--symlink", target, path)
		} else if _, err := os.Stat(path); err == nil {
			args = append(args, "--ro-bind", path, path)
		}
	}
	return args
}

// linkIntoUsr returns where the symbolic link at path leads if that is in /usr, which is there inside.
func linkIntoUsr(path string) string {
	target, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	if !strings.HasPrefix(filepath.Clean(target), "/usr/") {
		return ""
	}
	return target
}

// runtimeFolders are configurations whose name holds a version.
func runtimeFolders() []string {
	var all []string
	for _, pattern := range []string{"/etc/java-*-openjdk", "/etc/python3.*"} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		all = append(all, found...)
	}
	return all
}

// temporary returns the options for /tmp: a folder in memory, unless the caller mounts something there.
func temporary(spec *Spec) []string {
	for _, m := range spec.Mounts {
		if filepath.Clean(m.Target) == "/tmp" {
			return nil
		}
	}
	return tmpfs(spec, "/tmp")
}

// tmpfs returns the options for a folder in memory, open to everybody.
func tmpfs(spec *Spec, path string) []string {
	args := []string{"--perms", "1777"}
	if spec.Limits.Disk > 0 {
		// Somewhat above the limit, so that who fills it exceeds the limit.
		args = append(args, "--size", strconv.FormatInt(spec.Limits.Disk+diskSlack, 10))
	}
	return append(args, "--tmpfs", path)
}

// appendFiles adds the options for the files of /etc that are made up.
func appendFiles(args []string, spec *Spec, d *descriptors) ([]string, error) {
	home := "/tmp"
	for _, e := range spec.Env {
		if value, found := strings.CutPrefix(e, "HOME="); found && !strings.ContainsAny(value, ":\n") {
			home = value
		}
	}
	files := [][2]string{
		{"/etc/passwd", "root:x:0:0:root:/:/usr/sbin/nologin\n" +
			"app:x:1000:1000:app:" + home + ":/bin/sh\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		{"/etc/group", "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n"},
		{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"},
	}
	if spec.HostNetwork {
		args = append(args, "--ro-bind-try", "/etc/hosts", "/etc/hosts", "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf")
	} else {
		files = append(files,
			[2]string{"/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"},
			[2]string{"/etc/resolv.conf", "# No name server can be reached from here.\noptions timeout:1 attempts:1\n"})
	}
	for _, f := range files {
		number, err := d.data([]byte(f[1]))
		if err != nil {
			return nil, err
		}
		args = append(args, "--perms", "0444", "--file", number, f[0])
	}
	return args, nil
}

func (s *Sandbox) seccomp() ([]byte, error) {
	s.filterOnce.Do(func() { s.filter, s.filterErr = makeFilter() })
	return s.filter, s.filterErr
}
