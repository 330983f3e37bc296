package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"slipway/gitserver/pktline"
)

// rawPush is a client that speaks the protocol by itself.
type rawPush struct {
	*clone
	client  *gossh.Client
	session *gossh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  bytes.Buffer
}

// dial signs in.
func (s *scene) dial(who string) *gossh.Client {
	s.Helper()
	key, err := os.ReadFile(filepath.Join(s.env.Getenv("HOME"), ".ssh", who))
	must(s, err)
	signer, err := gossh.ParsePrivateKey(key)
	must(s, err)
	client, err := gossh.Dial("tcp", "127.0.0.1:"+s.env.Getenv("SSH_PORT"), &gossh.ClientConfig{
		User: "git", Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second,
	})
	must(s, err)
	s.Cleanup(func() { client.Close() })
	return client
}

// rawPush begins to push HEAD as main, which is not there yet; the pack has not been sent.
func (c *clone) rawPush(capabilities string, options ...string) *rawPush {
	c.Helper()
	p := c.receivePack()
	oid := strings.TrimSpace(c.git("rev-parse", "HEAD"))
	p.list(strings.Repeat("0", len(oid)) + " " + oid + " refs/heads/main\x00" + capabilities)
	if len(options) > 0 {
		p.list(options...)
	}
	return p
}

// receivePack has read what the server advertises.
func (c *clone) receivePack() *rawPush {
	c.Helper()
	p := &rawPush{clone: c, client: c.dial(c.who)}
	var err error
	p.session, err = p.client.NewSession()
	must(c, err)
	p.session.Stderr = &p.stderr
	p.stdin, err = p.session.StdinPipe()
	must(c, err)
	p.stdout, err = p.session.StdoutPipe()
	must(c, err)
	must(c, p.session.Start("git-receive-pack '/"+c.app+"'"))
	for packets := pktline.NewReader(p.stdout); ; {
		kind, _, err := packets.Next()
		must(c, err)
		if kind == pktline.Flush {
			break
		}
	}
	return p
}

// list sends packets, and a flush after them.
func (p *rawPush) list(lines ...string) {
	p.Helper()
	var b bytes.Buffer
	packets := pktline.NewWriter(&b)
	for _, line := range lines {
		must(p, packets.String(line))
	}
	must(p, packets.Flush())
	p.send(b.Bytes())
}

// send sends bytes. A server that refuses them may have hung up before it has all.
func (p *rawPush) send(b []byte) {
	p.Helper()
	if _, err := p.stdin.Write(b); !errors.Is(err, io.EOF) {
		must(p, err)
	}
}

// packOf is the pack of everything that a revision reaches.
func (c *clone) packOf(rev string) []byte {
	c.Helper()
	cmd := c.prepared(c.dir, "sh", "-c", "git rev-list --objects "+rev+" | git pack-objects -q --stdout")
	out, err := cmd.Output()
	must(c, err)
	return out
}
