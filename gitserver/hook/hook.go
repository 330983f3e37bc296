// Package hook lets git's hooks speak with the server that started git: it installs the hook program
// (cmd/slipway-hook), listens for it, and gives each run of a hook to a handler as a [Call].
//
// The program and this package share a wire over a unix socket that only the server's own user can
// open. First the program sends pkt-lines:
//
//	slipway-hook 1
//	name <the hook's name>
//	token <what the server put into SLIPWAY_PUSH when it started git>
//	env <KEY>=<value>        git's quarantine variables, if there are any
//	flush
//
// and from there on its standard input as it is, closing its half of the socket at the end. The
// server answers in side-band packets: stream 1 goes to the program's standard output, 2 to its
// standard error, and the one byte of stream 3 is its exit status, which ends the call.
//
// The package decides nothing about pushes. Start reading at [Listener.Serve].
package hook

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"slipway/gitserver/pktline"
)

// TokenVariable is the environment variable that tells the hook program which push it belongs to.
const TokenVariable = "SLIPWAY_PUSH"

const (
	greeting   = "slipway-hook 1"
	bandExit   = 3
	headerTime = 10 * time.Second
	maxHeader  = 16 // lines

	// writeTime is how long the program may leave an answer unread. It reads at once, and what it
	// writes to is drained by this server, within the time that a client may read nothing: so only a
	// broken push ever takes that long.
	writeTime = 30 * time.Minute
)

// Header is what the hook program says of itself.
type Header struct {
	Name  string            // of the hook: proc-receive
	Token string            // of the push
	Env   map[string]string // git's quarantine variables
}

// ErrHeader says that whoever connected is not the hook program.
var ErrHeader = errors.New("not the hook program's header")

// ReadHeader reads a header. It leaves what follows in r.
func ReadHeader(r io.Reader) (Header, error) {
	h := Header{Env: map[string]string{}}
	packets := pktline.NewReader(r)
	for n := 0; ; n++ {
		kind, payload, err := packets.Next()
		if err != nil {
			return Header{}, fmt.Errorf("reading hook header: %w", err)
		}
		if kind == pktline.Flush && n > 0 {
			break
		}
		if kind != pktline.Data || n == maxHeader || n == 0 && string(payload) != greeting {
			return Header{}, ErrHeader
		}
		if n > 0 && !h.set(string(payload)) {
			return Header{}, ErrHeader
		}
	}
	if h.Name == "" || h.Token == "" {
		return Header{}, ErrHeader
	}
	return h, nil
}

// set takes one line; it reports whether the line makes sense.
func (h *Header) set(line string) bool {
	key, value, ok := strings.Cut(line, " ")
	switch {
	case !ok:
		return false
	case key == "name" && h.Name == "":
		h.Name = value
	case key == "token" && h.Token == "":
		h.Token = value
	case key == "env":
		name, value, ok := strings.Cut(value, "=")
		h.Env[name] = value
		return ok
	default:
		return false
	}
	return true
}

// Call is one run of a hook. Read gives the hook's standard input. Stdout and Stderr are safe for
// concurrent use.
type Call struct {
	Header
	conn net.Conn

	mu sync.Mutex
	w  *pktline.Writer
}

func newCall(conn net.Conn) (*Call, error) {
	_ = conn.SetReadDeadline(time.Now().Add(headerTime))
	h, err := ReadHeader(conn)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	return &Call{Header: h, conn: conn, w: pktline.NewWriter(conn)}, nil
}

// Read reads what git writes to the hook. It ends with io.EOF when git, or the hook, is gone.
func (c *Call) Read(p []byte) (int, error) { return c.conn.Read(p) }

// Stdout is what git reads of the hook.
func (c *Call) Stdout() io.Writer { return band{c, pktline.BandData} }

// Stderr is what the pusher reads of the hook.
func (c *Call) Stderr() io.Writer { return band{c, pktline.BandProgress} }

func (c *Call) exit(status int) error {
	return c.write(bandExit, []byte{byte(status)})
}

func (c *Call) write(b byte, p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTime))
	return c.w.Band(b, p)
}

// band is one stream of a call's answer.
type band struct {
	call *Call
	n    byte
}

func (b band) Write(p []byte) (int, error) {
	if err := b.call.write(b.n, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
