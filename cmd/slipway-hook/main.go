// Slipway-hook is the program that git runs as a hook on the server. It decides nothing: it reaches
// the server through the socket beside it, hands over which hook it is, the push's token and its
// standard input, and passes back what the server answers until the server names an exit status.
//
// Git starts it within every push, so it is as small as a Go program can be: system calls only, no
// fmt, no net, no os. Package gitserver/hook is the other end and describes the wire.
package main

import (
	"io"
	"syscall"

	"slipway/gitserver/pktline"
)

func main() {
	dir, name := split(argument0())
	token, _ := syscall.Getenv("SLIPWAY_PUSH")
	if token == "" {
		fail("this hook runs within a push through the slipway server only")
	}
	// The socket is named relative to its folder: a path may be longer than a socket's name can be.
	if err := syscall.Chdir(dir); err != nil {
		fail("opening the hooks folder: " + err.Error())
	}
	server, err := connect("sock")
	if err != nil {
		fail("the server cannot be reached: " + err.Error())
	}
	if err := introduce(server, name, token); err != nil {
		fail("writing to the server: " + err.Error())
	}
	go func() {
		_, _ = io.Copy(server, file(0))
		_ = syscall.Shutdown(int(server), syscall.SHUT_WR)
	}()
	relay(server)
}

// introduce sends the header: what comes after its flush packet is standard input.
func introduce(server file, name, token string) error {
	w := pktline.NewWriter(server)
	lines := []string{"slipway-hook 1", "name " + name, "token " + token}
	for _, key := range []string{"GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"} {
		if value, ok := syscall.Getenv(key); ok {
			lines = append(lines, "env "+key+"="+value)
		}
	}
	for _, line := range lines {
		if err := w.String(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// relay passes the server's answer on. It does not return.
func relay(server file) {
	r := pktline.NewReader(server)
	for {
		_, payload, err := r.Next()
		if err != nil || len(payload) == 0 {
			fail("the server went away; the push is not accepted")
		}
		switch data := payload[1:]; payload[0] {
		case 1:
			_, err = file(1).Write(data)
		case 2:
			_, _ = file(2).Write(data) // nobody may be reading any more, and the answer still counts
		case 3:
			if len(data) != 1 {
				fail("the server's answer makes no sense")
			}
			syscall.Exit(int(data[0]))
		}
		if err != nil {
			fail("writing to git: " + err.Error())
		}
	}
}

func fail(reason string) {
	_, _ = file(2).Write([]byte("slipway: " + reason + "\n"))
	syscall.Exit(1)
}

// connect opens the stream socket at path.
func connect(path string) (file, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	for {
		err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		if err != syscall.EINTR {
			return file(fd), err
		}
	}
}

// argument0 is the path by which git started this program.
func argument0() string {
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	b := make([]byte, 4096)
	n, _ := file(fd).Read(b)
	for i, c := range b[:max(n, 0)] {
		if c == 0 {
			return string(b[:i])
		}
	}
	return ""
}

// split cuts a path into its folder and its last element.
func split(path string) (dir, name string) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i+1], path[i+1:]
		}
	}
	return ".", path
}

// file is a descriptor with blocking reads and writes.
type file int

func (f file) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(f), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (f file) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := syscall.Write(int(f), p[written:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}
