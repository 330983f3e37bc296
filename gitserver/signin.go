package gitserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy"
)

// fingerprintExtension is where a connection's permissions name the key that was proved.
const fingerprintExtension = "slipway-fingerprint"

// maxKeys is how many keys a client may try: agents hold many.
const maxKeys = 20

// sshServer sets the library up: public keys only, sessions only, no terminal, no forwarding.
func (s *Server) sshServer(key ssh.Signer) *ssh.Server {
	return &ssh.Server{
		Version:     "Slipway",
		HostSigners: []ssh.Signer{key},
		Handler:     s.handle,
		ConnCallback: func(ctx ssh.Context, conn net.Conn) net.Conn {
			ctx.SetValue(connectionKey{}, conn)
			return conn
		},
		// Without a handler for keys the library would let everybody in.
		PublicKeyHandler:     s.offered,
		ServerConfigCallback: s.sshConfig,
		PtyCallback:          func(ssh.Context, ssh.Pty) bool { return false },
		ChannelHandlers:      map[string]ssh.ChannelHandler{"session": s.channel},
		RequestHandlers:      map[string]ssh.RequestHandler{},
		SubsystemHandlers:    map[string]ssh.SubsystemHandler{},
	}
}

func (s *Server) sshConfig(ctx ssh.Context) *gossh.ServerConfig {
	c := ctx.Value(connectionKey{}).(*connection)
	return &gossh.ServerConfig{
		MaxAuthTries: maxKeys,
		AuthLogCallback: func(_ gossh.ConnMetadata, _ string, err error) {
			if err != nil {
				c.failed()
			}
		},
		PreAuthConnCallback: func(conn gossh.ServerPreAuthConn) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.preAuth = conn
		},
		VerifiedPublicKeyCallback: func(_ gossh.ConnMetadata, _ gossh.PublicKey, p *gossh.Permissions, _ string) (*gossh.Permissions, error) {
			s.signedIn(c)
			return p, nil
		},
	}
}

// offered says whether a key may sign in. The client has proved nothing yet and may offer others, so
// what is found out goes into this key's own permissions and nowhere else: the library keeps those of
// the key that is proved in the end (CVE-2024-45337 is what happens otherwise).
func (s *Server) offered(ctx ssh.Context, key ssh.PublicKey) bool {
	permissions := &gossh.Permissions{}
	ctx.Permissions().Permissions = permissions
	if _, ok := key.(*gossh.Certificate); ok {
		return false
	}
	fingerprint := gossh.FingerprintSHA256(key)
	c := ctx.Value(connectionKey{}).(*connection)
	switch _, err := s.config.Directory.UserByKey(c.base, fingerprint); {
	case errors.Is(err, deploy.ErrNotFound):
		s.unknownKey(c, fingerprint)
		return false
	case err != nil:
		s.logger.Error("looking up a key", "key", fingerprint, "error", err)
		c.tell("slipway: internal error; try again\n")
		return false
	}
	permissions.Extensions = map[string]string{fingerprintExtension: fingerprint}
	c.offer(fingerprint)
	return true
}

// unknownKey tells the client, while it is signing in, which key is not known. At the first one, and
// once: a client does not say which of its keys is the last, and leaves when that one is refused. A
// key of which it is known that a registered one follows is passed over in silence.
func (s *Server) unknownKey(c *connection, fingerprint string) {
	c.mu.Lock()
	if !slices.Contains(c.unknown, fingerprint) {
		c.unknown = append(c.unknown, fingerprint)
	}
	c.mu.Unlock()
	if s.keys.precedes(fingerprint) {
		return
	}
	c.tell(fmt.Sprintf("slipway: this key (%s) is not registered; ask an admin to run: slipway user add NAME -key FILE, or for a user who is there: slipway key add NAME -key FILE\n", fingerprint))
}

// tell shows a line before the client has signed in, the first time it is called.
func (c *connection) tell(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told || c.preAuth == nil {
		return
	}
	c.told = true
	_ = c.preAuth.SendAuthBanner(line) // if that fails the client has gone
}

// signedIn notes that the client has proved a registered key.
func (s *Server) signedIn(c *connection) {
	c.mu.Lock()
	first := !c.signedIn
	c.signedIn = true
	unknown := slices.Clone(c.unknown)
	c.mu.Unlock()
	if first {
		s.guests.signIn(c)
		s.keys.add(unknown)
	}
}

// failed notes that the client has tried to sign in, in whatever way.
func (c *connection) failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried = true
}

// offer notes that the client has named a registered key, of which it has proved nothing yet.
func (c *connection) offer(fingerprint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried, c.offered = true, fingerprint
}

// failedSignIn records a connection that ended before a registered key was proved. Who connects and does not
// try to sign in, to read the host key or to see whether somebody listens, has not failed to.
func (s *Server) failedSignIn(c *connection) {
	c.mu.Lock()
	unknown, offered, failed := slices.Clone(c.unknown), c.offered, c.tried && !c.signedIn
	c.mu.Unlock()
	if !failed {
		return
	}
	s.keys.remove(unknown)
	who := deploy.Actor{Type: deploy.ActorUser, IP: c.ip, Origin: "ssh"}
	reason := "no key was offered"
	switch {
	case offered != "":
		who.Key, reason = offered, "the key is registered, but was not proved"
	case len(unknown) > 0:
		who.Key, reason = unknown[0], "the key is not registered"
	}
	if e, alone := s.failures.Add(who, reason, time.Now()); alone {
		s.recordFailure(c.base, e)
	}
}

func (s *Server) recordFailure(ctx context.Context, e deploy.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.config.Recorder.Record(ctx, e); err != nil {
		s.logger.Error("recording a failed sign-in", "ip", e.Actor.IP, "key", e.Actor.Key, "error", err)
	}
}

// keyring remembers unregistered keys that were offered before a registered one.
type keyring struct {
	mu     sync.Mutex
	before map[string]bool
}

const maxRemembered = 10_000

func (k *keyring) precedes(fingerprint string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.before[fingerprint]
}

func (k *keyring) add(fingerprints []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.before == nil || len(k.before) > maxRemembered {
		k.before = map[string]bool{}
	}
	for _, f := range fingerprints {
		k.before[f] = true
	}
}

func (k *keyring) remove(fingerprints []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range fingerprints {
		delete(k.before, f)
	}
}
