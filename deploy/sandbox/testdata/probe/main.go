// Program probe attempts one thing that a sandbox is meant to prevent or to limit: the thing that
// SANDBOX_PROBE names, with the program's arguments. It exits with 0 if that was done, with 3 if not.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy/sandbox"
)

func main() {
	name := os.Getenv("SANDBOX_PROBE")
	all := probes()
	maps.Copy(all, starvation())
	attempt, found := all[name]
	if !found {
		fmt.Println("no such probe:", name)
		os.Exit(2)
	}
	if err := attempt(os.Args[1:]); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
}

func probes() map[string]func([]string) error {
	return map[string]func([]string) error{
		"read":      func(a []string) error { b, err := os.ReadFile(a[0]); fmt.Printf("%s", b); return err },
		"write":     func(a []string) error { return os.WriteFile(a[0], []byte("x"), 0o644) },
		"truncate":  func(a []string) error { f, err := os.OpenFile(a[0], os.O_WRONLY, 0); f.Close(); return err },
		"signal":    func(a []string) error { return syscall.Kill(number(a[0]), 0) },
		"find":      findProcess,
		"connect":   func(a []string) error { c, err := net.DialTimeout(a[0], a[1], 2*time.Second); closeIt(c); return err },
		"listen":    func(a []string) error { l, err := net.Listen("tcp", a[0]); closeIt(l); return err },
		"loopback":  func([]string) error { return loopback() },
		"mount":     func([]string) error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") },
		"remount":   func([]string) error { return unix.Mount("", "/usr", "", unix.MS_REMOUNT|unix.MS_BIND, "") },
		"unshare":   func([]string) error { return onThread(func() error { return unix.Unshare(unix.CLONE_NEWUTS) }) },
		"clone":     cloneUser,
		"whoami":    func([]string) error { fmt.Println(os.Geteuid()); return nil },
		"setuid":    func(a []string) error { return syscall.Setuid(number(a[0])) },
		"addkey":    addKey,
		"ptrace":    func(a []string) error { return onThread(func() error { return unix.PtraceAttach(number(a[0])) }) },
		"vmread":    readMemory,
		"socket":    openSocket,
		"mknod":     func(a []string) error { return unix.Mknod(a[0], unix.S_IFBLK|0o666, number(a[1])) },
		"call":      makeCall,
		"fds":       listDescriptors,
		"alloc":     allocate,
		"spawn":     spawn,
		"burn":      burn,
		"fill":      fill,
		"unlinked":  fillUnlinked,
		"server":    serve,
		"proxied":   getProxied,
		"count":     func(a []string) error { fmt.Println(len(os.Getenv(a[0]))); return nil },
		"rlimits":   printRlimits,
		"checkuser": checkUser,
	}
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func closeIt(c interface{ Close() error }) {
	if v, ok := c.(net.Conn); ok && v != nil {
		v.Close()
	}
}

func onThread(f func() error) error {
	runtime.LockOSThread()
	return f()
}

func findProcess(a []string) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		if b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline"); err == nil && bytes.HasPrefix(b, []byte(a[0]+"\x00")) {
			return nil
		}
	}
	return errors.New("no such process")
}

func loopback() error {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Close()
			}
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		c.Close()
		l.Close()
	}
	return nil
}

func cloneUser([]string) error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	return cmd.Run()
}

func addKey([]string) error {
	_, err := unix.AddKey("user", "probe", []byte("secret"), unix.KEY_SPEC_PROCESS_KEYRING)
	return err
}

func readMemory(a []string) error {
	f, err := os.Open("/proc/" + a[0] + "/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := os.Open("/proc/" + a[0] + "/mem")
	if err == nil {
		m.Close()
	}
	return err
}

func openSocket(a []string) error {
	fd, err := unix.Socket(number(a[0]), number(a[1]), number(a[2]))
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func listDescriptors([]string) error {
	for fd := range 4096 {
		if target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && fd > 2 && !strings.HasPrefix(target, "anon_inode:") {
			fmt.Println(fd, target)
		}
	}
	return nil
}

// allocate touches so many MiB.
func allocate(a []string) error {
	var kept [][]byte
	for range number(a[0]) {
		b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Println("allocated", len(kept))
	if len(a) > 1 {
		stay()
	}
	return nil
}

// spawn starts so many processes that stay.
func spawn(a []string) error {
	for i := range number(a[0]) {
		if err := exec.Command("/bin/sleep", "60").Start(); err != nil {
			return fmt.Errorf("after %d: %w", i, err)
		}
	}
	if len(a) > 1 {
		stay()
	}
	return nil
}

func burn([]string) error {
	for range 4 {
		go func() {
			for n := 0; ; n++ {
				_ = n * n
			}
		}()
	}
	select {}
}

// fill writes so many MiB to a file.
func fill(a []string) error {
	f, err := os.Create(a[0])
	if err != nil {
		return err
	}
	for range number(a[1]) {
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if len(a) > 2 {
		stay()
	}
	return nil
}

// fillUnlinked writes to a file that has no name any more.
func fillUnlinked(a []string) error {
	f, err := os.Create(a[0])
	if err != nil {
		return err
	}
	defer f.Close() // and not before: what nobody refers to any more is closed by itself
	if err := os.Remove(a[0]); err != nil {
		return err
	}
	for range number(a[1]) {
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	if len(a) > 2 {
		stay()
	}
	return nil
}

// getProxied asks the proxy on a unix socket for an address.
func getProxied(a []string) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		Proxy:       http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy"}),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", a[0]) },
	}}
	response, err := client.Get(a[1])
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return err
}

// stay keeps the program running.
func stay() { <-time.After(time.Minute) }

func printRlimits([]string) error {
	for _, r := range []int{unix.RLIMIT_CORE, unix.RLIMIT_FSIZE, unix.RLIMIT_NOFILE} {
		var l unix.Rlimit
		if err := unix.Getrlimit(r, &l); err != nil {
			return err
		}
		fmt.Println(l.Cur, l.Max)
	}
	return nil
}

// serve is another server: it starts the sandbox in its first argument, in the group of its second, and
// waits.
func serve(a []string) error {
	var spec sandbox.Spec
	if err := json.Unmarshal([]byte(a[0]), &spec); err != nil {
		return err
	}
	p, err := sandbox.New(sandbox.Config{Group: a[1], CgroupRoot: a[2]}).Start(context.Background(), spec, sandbox.Stdio{Out: os.Stdout, Err: os.Stderr})
	if err != nil {
		return err
	}
	r, err := p.Wait()
	if err != nil {
		return err
	}
	return r.Err()
}

// checkUser is a server of an ordinary user.
func checkUser(a []string) error {
	s := sandbox.New(sandbox.Config{Group: a[0]})
	if err := s.Check(context.Background()); err != nil {
		return err
	}
	fmt.Println(strings.Join(s.Weaknesses(), "\n"))
	var output bytes.Buffer
	p, err := s.Start(context.Background(), sandbox.Spec{
		Name: "user", Argv: []string{"/probe/probe", "400", "stay"}, Dir: "/",
		Env:    []string{"SANDBOX_PROBE=alloc"},
		Mounts: []sandbox.Mount{{Source: filepath.Dir(a[1]), Target: "/probe"}},
		Limits: sandbox.Limits{Memory: 128 << 20, Time: 30 * time.Second},
	}, sandbox.Stdio{Out: &output, Err: &output})
	if err != nil {
		return err
	}
	r, err := p.Wait()
	fmt.Println(r, err, output.String())
	return err
}
