package mask

import (
	"io"
	"sync"
)

// Writer replaces values in what passes through it. It keeps back what may be the beginning of one,
// until more is written or it is closed; everything else it passes on at once. It is safe for
// concurrent use.
type Writer struct {
	mask *Mask
	to   io.Writer

	mu      sync.Mutex
	held    []byte
	covered int    // bytes at the beginning of held, or of what is written next, that a value found before covers
	last    string // the name that was written last, while nothing was written since
	out     []byte
	closed  bool
}

// Writer returns a writer that passes on to w. Close it to get the last bytes.
func (m *Mask) Writer(w io.Writer) *Writer { return &Writer{mask: m, to: w} }

// Write takes all of p, or returns the error of the writer behind.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mask == nil || w.closed {
		return w.to.Write(p)
	}
	text := p
	if len(w.held) > 0 {
		w.held = append(w.held, p...)
		text = w.held
	}
	return len(p), w.pass(text, false)
}

// Close passes on what was kept back. It does not close the writer behind, and what is written after
// it passes unchanged.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.mask == nil {
		return nil
	}
	w.closed = true
	return w.pass(w.held, true)
}

// pass writes text, but for its end if that may begin a value and more can come.
//
// Values may overlap in the text. What any of them covers is left out, and a name stands for all that
// hangs together.
func (w *Writer) pass(text []byte, all bool) error {
	w.out = w.out[:0]
	at := 0
	for ; at < len(text); at++ {
		if at >= w.covered {
			if plain := w.mask.plain(text[at:]); plain > 0 {
				w.out, w.last = append(w.out, text[at:at+plain]...), ""
				if at += plain; at == len(text) {
					break
				}
			}
		}
		found, open := w.mask.match(text[at:])
		if open && !all {
			break
		}
		if found.text != "" {
			w.cover(at, found)
		}
		if at >= w.covered {
			w.out, w.last = append(w.out, text[at]), ""
		}
	}
	w.covered = max(0, w.covered-at)
	w.held = append(w.held[:0], text[at:]...)
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.to.Write(w.out)
	return err
}

// cover leaves out the value that was found at a place of the text. The pieces of one value, one right
// after the other, get one name.
func (w *Writer) cover(at int, found pattern) {
	if at >= w.covered && w.last != found.name {
		w.out = append(w.out, "["+found.name+"]"...)
		w.last = found.name
	}
	w.covered = max(w.covered, at+len(found.text))
}
