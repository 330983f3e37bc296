package pktline

import "io"

// Writer writes packets, each with one Write of the underlying writer, which it does not buffer. It
// is for one goroutine.
type Writer struct {
	w   io.Writer
	buf []byte
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Packet writes a data packet. The error is [ErrTooLong] or the underlying writer's.
func (w *Writer) Packet(payload []byte) error {
	if len(payload) > MaxPayload {
		return ErrTooLong
	}
	w.buf = appendHeader(w.buf[:0], len(payload))
	w.buf = append(w.buf, payload...)
	return w.write(w.buf)
}

// String writes s as a data packet, as it is: no newline is added.
func (w *Writer) String(s string) error { return w.Packet([]byte(s)) }

// Flush writes a flush packet. Nothing is buffered, so it flushes nothing here.
func (w *Writer) Flush() error { return w.write([]byte("0000")) }

// Delim writes a delimiter packet.
func (w *Writer) Delim() error { return w.write([]byte("0001")) }

// ResponseEnd writes a response-end packet.
func (w *Writer) ResponseEnd() error { return w.write([]byte("0002")) }

// Band writes p to a side-band stream, in as many packets as it takes. It writes nothing if p is
// empty.
func (w *Writer) Band(band byte, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), MaxBand)
		w.buf = appendHeader(w.buf[:0], n+1)
		w.buf = append(w.buf, band)
		w.buf = append(w.buf, p[:n]...)
		if err := w.write(w.buf); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (w *Writer) write(p []byte) error {
	_, err := w.w.Write(p)
	return err
}

func appendHeader(b []byte, payload int) []byte {
	const digits = "0123456789abcdef"
	n := payload + header
	return append(b, digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15])
}

// Bands of the side-band format as git uses them.
const (
	BandData     byte = 1
	BandProgress byte = 2 // for people
	BandError    byte = 3 // for people; the sender gives up
)

// SplitBand returns a side-band packet's stream and what it carries.
func SplitBand(payload []byte) (band byte, data []byte, err error) {
	if len(payload) == 0 {
		return 0, nil, ErrMalformed
	}
	return payload[0], payload[1:], nil
}

// Demux reads side-band packets up to a flush packet and writes what they carry to the stream's
// writer. Streams without a writer are dropped.
func Demux(r *Reader, streams map[byte]io.Writer) error {
	for {
		kind, payload, err := r.Next()
		if err != nil {
			return err
		}
		if kind != Data {
			return nil
		}
		band, data, err := SplitBand(payload)
		if err != nil {
			return err
		}
		if w := streams[band]; w != nil {
			if _, err := w.Write(data); err != nil {
				return err
			}
		}
	}
}
