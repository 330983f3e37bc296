package gitserver

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// slowReader is a client that takes one write a pause.
type slowReader struct {
	pause time.Duration
	got   bytes.Buffer
}

func (r *slowReader) Write(p []byte) (int, error) {
	<-time.After(r.pause)
	return r.got.Write(p)
}

func TestDrainKeepsEverythingForASlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &slowReader{pause: 20 * time.Second}
		d := newDrain(client, 30*time.Second, func(err error) { t.Error("given up:", err) })
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for range 20 {
			_, _ = d.Write(chunk)
		}
		d.finish()
		if n := client.got.Len(); n != 20<<20 {
			t.Errorf("%d bytes arrived", n)
		}
		if d.isGone() {
			t.Error("gone")
		}
	})
}

func TestDrainGivesUpAClientThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer r.Close()
		lost := make(chan error, 1)
		begin := time.Now()
		d := newDrain(w, 30*time.Second, func(err error) { lost <- err })
		for range 100 { // never blocks for longer than the stall, all in all
			_, _ = d.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
		d.finish()
		if err := <-lost; !errors.Is(err, errClientStalled) {
			t.Errorf("because %v", err)
		}
		if took := time.Since(begin); took != 30*time.Second || !d.isGone() {
			t.Errorf("after %v, gone: %v", took, d.isGone())
		}
	})
}

func TestDrainGivesUpAClientThatHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		_ = r.CloseWithError(errors.New("closed"))
		n := 0
		d := newDrain(w, 30*time.Second, func(err error) {
			if n++; !errors.Is(err, errClientGone) {
				t.Errorf("because %v", err)
			}
		})
		for range 10 {
			_, _ = d.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
		d.finish()
		if n != 1 {
			t.Errorf("lost was called %d times", n)
		}
	})
}
