// Package pktline reads and writes git's pkt-line format, on which every git protocol is built
// (gitprotocol-common(5)): a length of four hexadecimal digits that counts itself, then the payload;
// lengths 0 to 2 are the flush, delimiter and response-end packets. It also splits and joins the
// side-band format, in which the payload's first byte names one of several streams.
//
// It knows nothing of what the packets mean, and imports next to nothing, so that a program which
// must start in a millisecond can use it. Start reading at [Reader].
package pktline

import (
	"errors"
	"io"
)

// Sizes of the format.
const (
	// MaxPayload is the most bytes that one packet carries.
	MaxPayload = 65516
	// MaxBand is the most bytes that one side-band packet carries.
	MaxBand = MaxPayload - 1

	header = 4
)

// Kind tells the special packets from data.
type Kind int

// The kinds of packets.
const (
	Data        Kind = iota // carries a payload, which may be empty
	Flush                   // 0000 ends a list or a message
	Delim                   // 0001 separates the parts of a protocol v2 message
	ResponseEnd             // 0002 ends a stateless protocol v2 answer
)

// ErrMalformed says that what was read is not the pkt-line format.
var ErrMalformed = errors.New("malformed packet length")

// ErrTooLong says that a payload is larger than [MaxPayload].
var ErrTooLong = errors.New("packet payload too long")

// Reader reads packets. It reads not one byte past the packet that it returns, so what follows in
// another format can be read from the same source. It is for one goroutine.
type Reader struct {
	r   io.Reader
	buf [header + MaxPayload]byte
}

// NewReader returns a Reader of r. Wrap r in a bufio.Reader if small reads of it are costly.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next packet. The payload is valid until the next call, and nil unless kind is
// [Data]. The error is io.EOF at an end between packets, io.ErrUnexpectedEOF inside one, and
// [ErrMalformed] for what is no packet.
func (r *Reader) Next() (kind Kind, payload []byte, err error) {
	if _, err := io.ReadFull(r.r, r.buf[:header]); err != nil {
		return 0, nil, err
	}
	n, err := parseLength(r.buf[:header])
	if err != nil {
		return 0, nil, err
	}
	switch n {
	case 0:
		return Flush, nil, nil
	case 1:
		return Delim, nil, nil
	case 2:
		return ResponseEnd, nil, nil
	}
	payload = r.buf[header:n]
	if _, err := io.ReadFull(r.r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return Data, payload, nil
}

// ParseLength reads the four digits before a payload and returns how many bytes the packet has, they
// included; special packets have four.
func ParseLength(digits []byte) (int, error) {
	if len(digits) < header {
		return 0, ErrMalformed
	}
	n, err := parseLength(digits[:header])
	return max(n, header), err
}

// parseLength returns 0 to 2 for the special packets, else a length from 4 up.
func parseLength(digits []byte) (int, error) {
	n := 0
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, ErrMalformed
		}
		n = n<<4 | int(c)
	}
	if n == 3 || n > header+MaxPayload {
		return 0, ErrMalformed
	}
	return n, nil
}

// Text returns a payload without the newline that senders of text may or may not add.
func Text(payload []byte) string {
	if n := len(payload); n > 0 && payload[n-1] == '\n' {
		payload = payload[:n-1]
	}
	return string(payload)
}
