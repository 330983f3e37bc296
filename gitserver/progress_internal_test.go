package gitserver

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressWaitsForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		p := newProgress(write, time.Second)
		got := make(chan int)
		go func() {
			n, buf := 0, make([]byte, 16<<10)
			for {
				<-time.After(400 * time.Millisecond)
				m, err := read.Read(buf)
				if n += m; err != nil {
					got <- n
					return
				}
			}
		}()
		line := []byte(strings.Repeat("x", 999) + "\n")
		for range 4000 {
			_, _ = p.Write(line)
		}
		p.finish()
		write.Close()
		if n := <-got; n != 4000*1000 {
			t.Errorf("%d bytes got through", n)
		}
	})
}

func TestProgressDoesNotWaitForOneWhoStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		p := newProgress(write, time.Second)
		begin := time.Now()
		for i := range 100_000 {
			fmt.Fprintf(p, "line %d %s\n", i, strings.Repeat("x", 80))
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the writer was kept for %s", took)
		}
		var got bytes.Buffer
		go func() { p.finish(); write.Close() }()
		_, _ = io.Copy(&got, read)
		out := got.String()
		if !strings.HasPrefix(out, "line 0 ") || !strings.Contains(out, leftOut) || !strings.Contains(out, "\nline 99999 ") {
			t.Errorf("%d bytes: %.100q … %q", len(out), out, out[max(0, len(out)-100):])
		}
		if len(out) > maxProgress+progressPart {
			t.Errorf("%d bytes were kept", len(out))
		}
	})
}
