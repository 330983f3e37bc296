package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// askOddly asks for what the server does not do, and for repositories that are none.
func askOddly(s *clone) string {
	for _, odd := range []struct{ line, want string }{
		{"git-frotz '/shop'", `slipway: "git-frotz" is no service of this server`},
		{"git-shell -c id", `slipway: "git-shell" is no service of this server`},
		{"git receive-pack --help '/shop'", "slipway: git-receive-pack takes one repository"},
		{"git-upload-pack --upload-pack=id /shop", "slipway: git-upload-pack takes one repository"},
		{"git-upload-pack", "slipway: git-upload-pack takes one repository"},
		{"scp -t /tmp", `slipway: there is no command "scp"`},
		{"rsync --server . /", `slipway: there is no command "rsync"`},
		{"status; id", `slipway: no shell reads the command here: put ';' into quotes`},
		{"status $(id)", `slipway: no shell reads the command here`},
		{"status 'a", `slipway: the command lacks a closing '`},
		{"git-upload-pack '/shop\n'", "slipway: the command holds control characters"},
		{"git-upload-pack '" + strings.Repeat("x", 10<<10) + "'", "slipway: the command is longer than 8192 bytes"},
		{strings.Repeat("x ", 4000), `slipway: there is no command "x"`},
		{"git-upload-pack '" + strings.Repeat("x", 7<<10) + "'", "repository not found"},
		{"git-upload-pack '..'", "repository not found"},
		{"git-upload-pack '/../shop'", "repository not found"},
		{"git-upload-pack '/shop/../shop'", "repository not found"},
		{"git-upload-pack '/shop.git/'", "repository not found"},
		{"git-upload-pack '~alice'", "repository not found"},
		{"git-upload-pack '-oProxyCommand=id'", "repository not found"},
		{"git-upload-pack '--strict'", "repository not found"},
		{"git-receive-pack '/--help'", "repository not found"},
		{"git-receive-pack '.home'", "repository not found"},
		{"git-upload-archive '/shop/objects'", "repository not found"},
		{"git-upload-pack 'SHOP'", "repository not found"},
		{"git-upload-pack ''", "repository not found"},
	} {
		out, err := s.run("", "ssh", "alice", odd.line)
		if err == nil {
			s.Errorf("%.60q: it worked: %s", odd.line, out)
		}
		s.contains(out, odd.want)
	}
	for _, args := range [][]string{
		{"-s", "alice", "sftp"}, {"-W", "127.0.0.1:1", "alice"},
		{"-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "-N", "alice"},
	} {
		if out, err := s.run("", "ssh", args...); err == nil {
			s.Errorf("ssh %q: it worked: %s", args, out)
		}
	}
	return ""
}

// floodWithRequests sends what costs a server memory if it keeps it: environment, requests, channels.
func floodWithRequests(s *clone) string {
	client := s.dial("alice")
	defer client.Close()
	session, err := client.NewSession()
	must(s, err)
	for i := range 5000 {
		if session.Setenv(fmt.Sprintf("NAME_%d", i), strings.Repeat("x", 10_000)) == nil {
			s.Fatalf("variable %d was taken", i)
		}
	}
	for range 2000 {
		if ok, err := session.SendRequest("x11-req", true, make([]byte, 1000)); ok || err != nil {
			s.Fatalf("%v %v", ok, err)
		}
	}
	forward := gossh.Marshal(struct {
		Addr string
		Port uint32
	}{"", 0})
	for range 5000 {
		if ok, _, err := client.SendRequest("tcpip-forward", true, forward); ok || err != nil {
			s.Fatalf("%v %v", ok, err)
		}
	}
	out, err := session.CombinedOutput("status")
	must(s, err)
	opened := 0
	for range 1000 {
		if _, err := client.NewSession(); err == nil {
			opened++
		}
	}
	if opened > 10 {
		s.Errorf("%d sessions at a time in one connection", opened)
	}
	return string(out)
}

// floodWithStrangers holds a thousand connections that never sign in, from one address and from many, and
// pushes through the crowd.
func floodWithStrangers(s *clone) string {
	address := "127.0.0.1:" + s.env.Getenv("SSH_PORT")
	files := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid()))
		must(s, err)
		return len(entries)
	}
	before := files()
	for i := range 1000 {
		from := net.Dialer{Timeout: 10 * time.Second}
		if i%2 == 1 {
			from.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i%100), 1)}
		}
		conn, err := from.Dial("tcp", address)
		must(s, err)
		s.Cleanup(func() { conn.Close() })
		if i%3 == 0 {
			_, _ = io.WriteString(conn, "SSH-2.0-flood\r\n")
		}
		if i%7 == 0 {
			_, _ = conn.Write(bytes.Repeat([]byte{0xff}, 4096))
		}
	}
	if n := files() - before; n > 210 {
		s.Errorf("%d descriptors are open for strangers", n)
	}
	s.commit("Push through the crowd", map[string]string{"answer": "crowded\n"})
	out := s.git("push", "production", "main")
	must(s, until(10*clientTimeout, func() error {
		if n := files() - before; n > 10 {
			return fmt.Errorf("%d descriptors are still open for strangers", n)
		}
		return nil
	}))
	return out
}

// playTricks puts sequences that a terminal obeys wherever other people will read them.
func playTricks(c *clone) string {
	c.commit("Say \x1b]0;owned\x07 \x1b[2J\x1b[31mhello\u202e\u009b31m\x9b", map[string]string{
		"tricks":       "plain \x1b[31mred\x1b[0m \x1b]0;owned\x07\x1b[2J\x1b[10A\x1bc\u202eback \u009b2J\u009d0;c1\u009c\x9b2J\rover\x08\x08\n\x1bP+q544e\x1b\\\x1b]52;c;b3duZWQ=\x07end\n",
		"slipway.toml": "[build]\nrun = \"cat tricks\"\n[test.unit]\nrun = \"cat tricks; exit 1\"\n" + smallManifest,
	})
	refused := c.refused([]string{"-o", "verbose", "production", "main"}, "test unit failed", "end")
	branch := "refs/heads/\u202e\u009b31mtricky\u2066"
	_, _ = c.run(c.dir, "git", "push", "production", "HEAD:"+branch)
	_, _ = c.run(c.dir, "ssh", "alice", "key", "add", "-key", "-", "\x1b]0;owned\x07")
	n, _ := c.deployment("shop")
	told := map[string]string{"the pusher": refused}
	for _, args := range [][]string{{"watch", n}, {"log", n}, {"log", n, "build"}, {"log", n, "transcript"}, {"deployments"}, {"status"}} {
		name := strings.Join(args, " ")
		told["ssh "+name], _ = c.run(c.dir, "ssh", append([]string{"bob"}, args...)...)
		out, _ := c.command(args...).CombinedOutput()
		told["slipway "+name] = string(out)
	}
	must(c, os.WriteFile(filepath.Join(c.dir, "slipway.toml"), []byte("[process.\"\x1b[2J\"]\nrun=\"\x1b[2J\"\n\x1b[2J = 1\n"), 0o644))
	c.git("commit", "-qam", "Break the manifest")
	told["a broken manifest"] = c.refused([]string{"production", "main"}, "slipway.toml:")
	told["an option"] = c.refused([]string{"-o", "\x1b[2J", "production", "main"})
	for who, out := range told {
		for _, bad := range []string{"\x1b]", "\x1b[2J", "\x1bP", "\x1bc", "\x07", "\x08", "\u202e", "\u2066", "\u009b", "\u009d", "\x9b2"} {
			if strings.Contains(strings.ReplaceAll(out, "\x1b[K", ""), bad) {
				c.Errorf("%s reads %q in %.600q", who, bad, out)
			}
		}
	}
	return refused
}
