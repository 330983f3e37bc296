package gitserver

import (
	"io"
	"path/filepath"
	"strings"
	"sync"

	"slipway/gitserver/pktline"
)

// sideband reads along what git receive-pack writes for its client, all of it packets, and passes it on.
// What is meant for people, in the second band, goes through a cloak. It is safe for concurrent use.
type sideband struct {
	mu      sync.Mutex
	w       io.Writer
	held    []byte // the beginning of a packet
	text    *cloak
	strange bool // this is no packet: the rest passes as it is
}

const (
	bandText   = 2
	bandHeader = 5 // four digits, and the band's number
)

func newSideband(w io.Writer, folders folders) *sideband {
	return &sideband{w: w, text: newCloak(bandWriter{w}, folders)}
}

// Write implements [io.Writer].
func (s *sideband) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, p...)
	for len(s.held) >= 4 && !s.strange {
		n, err := pktline.ParseLength(s.held)
		s.strange = err != nil
		if s.strange || len(s.held) < n {
			break
		}
		if err := s.packet(s.held[:n]); err != nil {
			return 0, err
		}
		s.held = append(s.held[:0], s.held[n:]...)
	}
	if s.strange {
		return len(p), s.rest()
	}
	return len(p), nil
}

func (s *sideband) packet(p []byte) error {
	if len(p) >= bandHeader && p[4] == bandText {
		_, err := s.text.Write(p[bandHeader:])
		return err
	}
	if err := s.text.flush(); err != nil {
		return err
	}
	_, err := s.w.Write(p)
	return err
}

// flush passes on what is held back.
func (s *sideband) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rest()
}

func (s *sideband) rest() error {
	if err := s.text.flush(); err != nil {
		return err
	}
	_, err := s.w.Write(s.held)
	s.held = nil
	return err
}

// bandWriter writes text as packets of the second band.
type bandWriter struct{ w io.Writer }

func (b bandWriter) Write(p []byte) (int, error) {
	packets := pktline.NewWriter(b.w)
	for rest := p; len(rest) > 0; {
		n := min(len(rest), pktline.MaxBand)
		if err := packets.Packet(append([]byte{bandText}, rest[:n]...)); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// folders are the server's own, each followed by what a pusher reads instead.
type folders []string

// hide adds a folder, and what it really is if links lead to it.
func (f folders) hide(dir, name string) folders {
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir {
		f = append(f, real, name)
	}
	return append(f, dir, name)
}

// cloak passes text on without the server's folders, of which git tells when it cannot write there. It is
// safe for concurrent use.
type cloak struct {
	mu      sync.Mutex
	w       io.Writer
	folders folders
	names   *strings.Replacer
	held    string // may be the beginning of a folder
}

func newCloak(w io.Writer, f folders) *cloak {
	return &cloak{w: w, folders: f, names: strings.NewReplacer(f...)}
}

// Write implements [io.Writer].
func (c *cloak) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.names.Replace(c.held + string(p))
	n := c.pending(text)
	c.held = text[len(text)-n:]
	if n == len(text) {
		return len(p), nil
	}
	if _, err := io.WriteString(c.w, text[:len(text)-n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// pending is how much of the end of text could be the beginning of a folder.
func (c *cloak) pending(text string) int {
	most := 0
	for i := 0; i < len(c.folders); i += 2 {
		for n := min(len(c.folders[i])-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, c.folders[i][:n]) {
				most = n
			}
		}
	}
	return most
}

// flush passes on what is held back.
func (c *cloak) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == "" {
		return nil
	}
	_, err := io.WriteString(c.w, c.held)
	c.held = ""
	return err
}
