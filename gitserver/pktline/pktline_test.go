package pktline_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"slipway/gitserver/pktline"
)

// A list as git sends it: lines, a delimiter, more lines, a flush; then bytes of another format that
// the reader must not touch.
func TestStory(t *testing.T) {
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	for _, err := range []error{w.String("command=ls-refs\n"), w.Delim(), w.String("peel\n"), w.String(""), w.Flush(), w.ResponseEnd()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := b.String(), "0014command=ls-refs\n00010009peel\n000400000002"; got != want {
		t.Fatalf("wrote %q, want %q", got, want)
	}
	b.WriteString("PACK")

	r := pktline.NewReader(&b)
	want := []struct {
		kind pktline.Kind
		text string
	}{{pktline.Data, "command=ls-refs"}, {pktline.Delim, ""}, {pktline.Data, "peel"}, {pktline.Data, ""}, {pktline.Flush, ""}, {pktline.ResponseEnd, ""}}
	for i, want := range want {
		kind, payload, err := r.Next()
		if err != nil || kind != want.kind || pktline.Text(payload) != want.text {
			t.Fatalf("packet %d: %v %q %v, want %v %q", i, kind, payload, err, want.kind, want.text)
		}
	}
	if rest := b.String(); rest != "PACK" {
		t.Errorf("the reader left %q, want PACK", rest)
	}
}

func TestReaderErrors(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want error
	}{
		{"", io.EOF},
		{"00", io.ErrUnexpectedEOF},
		{"0005", io.ErrUnexpectedEOF},
		{"0009peel", io.ErrUnexpectedEOF},
		{"0003", pktline.ErrMalformed},
		{"fff1" + strings.Repeat("x", 0xfff1), pktline.ErrMalformed},
		{"ffff", pktline.ErrMalformed},
		{"-001", pktline.ErrMalformed},
		{"00 5a", pktline.ErrMalformed},
		{"PACK", pktline.ErrMalformed},
	} {
		if _, _, err := pktline.NewReader(strings.NewReader(tt.in)).Next(); !errors.Is(err, tt.want) {
			t.Errorf("%.10q: %v, want %v", tt.in, err, tt.want)
		}
	}
}

func TestLargestPacket(t *testing.T) {
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	if err := w.Packet(make([]byte, pktline.MaxPayload+1)); !errors.Is(err, pktline.ErrTooLong) {
		t.Errorf("one byte too many: %v", err)
	}
	if err := w.Packet(make([]byte, pktline.MaxPayload)); err != nil {
		t.Fatal(err)
	}
	if _, p, err := pktline.NewReader(&b).Next(); err != nil || len(p) != pktline.MaxPayload {
		t.Errorf("%d bytes, %v", len(p), err)
	}
}

func TestBands(t *testing.T) {
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	data := bytes.Repeat([]byte("0123456789"), 20_000)
	for _, err := range []error{w.Band(1, data), w.Band(2, []byte("working\n")), w.Band(7, []byte("nobody reads this")), w.Band(1, nil), w.Flush()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var out, progress bytes.Buffer
	if err := pktline.Demux(pktline.NewReader(&b), map[byte]io.Writer{1: &out, 2: &progress}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), data) || progress.String() != "working\n" {
		t.Errorf("got %d bytes and %q", out.Len(), progress.String())
	}
	if err := pktline.Demux(pktline.NewReader(strings.NewReader("0004")), nil); !errors.Is(err, pktline.ErrMalformed) {
		t.Errorf("an empty side-band packet: %v", err)
	}
}

// Whatever is read again as packets is what was written, and garbage ends in an error, never in a
// panic or a loop.
func FuzzReader(f *testing.F) {
	f.Add([]byte("0014command=ls-refs\n00010009peel\n0000"))
	f.Add([]byte("0004"))
	f.Add([]byte("fff0"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var again bytes.Buffer
		r, w := pktline.NewReader(bytes.NewReader(in)), pktline.NewWriter(&again)
		for {
			kind, payload, err := r.Next()
			if err != nil {
				break
			}
			switch kind {
			case pktline.Data:
				err = w.Packet(payload)
			case pktline.Flush:
				err = w.Flush()
			case pktline.Delim:
				err = w.Delim()
			case pktline.ResponseEnd:
				err = w.ResponseEnd()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := again.Len(); !bytes.EqualFold(again.Bytes(), in[:n]) {
			t.Errorf("read %q, wrote %q", in[:n], again.Bytes())
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("ok refs/heads/main"), byte(1))
	f.Fuzz(func(t *testing.T, p []byte, band byte) {
		var b, out bytes.Buffer
		w := pktline.NewWriter(&b)
		if err := w.Band(band, p); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := pktline.Demux(pktline.NewReader(&b), map[byte]io.Writer{band: &out}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), p) {
			t.Errorf("got %q, want %q", out.Bytes(), p)
		}
	})
}
