package gitserver

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"

	"slipway/deploy"
	"slipway/gitserver/pktline"
)

// commandList reads along while a client sends its list of ref updates, which comes before the pack
// (gitprotocol-pack(5), "Reference Update Request"). The bytes pass unchanged; git reads them itself.
// What is of interest here is what git does not tell its hooks: what the client can do, and how many
// updates there are, the ones that git refuses by itself included.
type commandList struct {
	limit int

	mu       sync.Mutex
	held     []byte // the beginning of a packet
	updates  int
	report   bool // the client has asked for one
	complete bool
}

// errors of a list that is not passed on.
var (
	errCertificate = errors.New("signed pushes are not supported")
	errCommandList = errors.New("that is no push")
)

// feed reads what the client has sent. After an error nothing of it may be passed on.
func (l *commandList) feed(p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(p) > 0 && !l.complete {
		need := 4
		if len(l.held) >= 4 {
			n, err := pktline.ParseLength(l.held[:4])
			if err != nil {
				return errCommandList
			}
			need = n
		}
		n := min(len(p), need-len(l.held))
		l.held, p = append(l.held, p[:n]...), p[n:]
		if err := l.packet(); err != nil {
			return err
		}
	}
	return nil
}

// packet takes the held packet, if it is whole.
func (l *commandList) packet() error {
	if len(l.held) < 4 {
		return nil
	}
	n, err := pktline.ParseLength(l.held[:4])
	if err != nil {
		return errCommandList
	}
	if len(l.held) < n {
		return nil
	}
	payload := l.held[4:n]
	switch {
	case n == 4 && string(l.held) != "0004":
		l.complete = true
		l.held = nil
		return nil
	case bytes.HasPrefix(payload, []byte("push-cert")):
		return errCertificate
	case !bytes.HasPrefix(payload, []byte("shallow ")):
		l.update(payload)
	}
	l.held = l.held[:0]
	if l.updates > l.limit {
		return deploy.Reject(deploy.CodeSize, "a push may move %d refs at most: push in parts", l.limit)
	}
	return nil
}

// update takes "old new ref", which git takes capabilities after, on the first line as a rule.
func (l *commandList) update(payload []byte) {
	l.updates++
	if _, after, ok := bytes.Cut(payload, []byte{0}); ok {
		capabilities := strings.Fields(string(after))
		l.report = l.report || slices.Contains(capabilities, "report-status") || slices.Contains(capabilities, "report-status-v2")
	}
}

// count returns how many updates the client has asked for.
func (l *commandList) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.updates
}

// wantsReport tells whether the client waits to hear what became of its push. One that does not hangs
// up as soon as it has sent everything.
func (l *commandList) wantsReport() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.report
}
