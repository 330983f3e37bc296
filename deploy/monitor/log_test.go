package monitor

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// A line that matches ends the watch, told without what would change a terminal; lines from before the
// watch do not count.
func TestLogPattern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHost(), subject()
		path, add := newLog(t, "panic: an old one\n")
		h.state.LogPath = path
		s.Manifest.Monitor.ErrorPattern = `^(\x1b\[\d+m)?panic: `
		var said int
		h.script = func(_ *host, at time.Duration) {
			if texts := []string{"listening\npan", "ic: in half\n\x1b[31mpanic: \x1b]0;title\x07boom\r\nlast\n"}; said < len(texts) && at >= time.Duration(said+2)*time.Second {
				add(texts[said])
				said++
			}
		}
		w := h.watch(t.Context(), s)
		if want := "the log of web matches the error pattern: panic: in half"; w.result.Pass || w.result.Reason != want {
			t.Errorf("reason = %q, %v, want %q", w.result.Reason, w.err, want)
		}
		if d := cmp.Diff([]string{"listening", "panic: in half", "panic: boom", "last"}, w.result.Tail); d != "" {
			t.Errorf("tail (-want +got):\n%s", d)
		}
		if want := "2 of 4 new lines match the error pattern"; w.check("log").Detail != want {
			t.Errorf("detail = %q, want %q", w.check("log").Detail, want)
		}
	})
}

// A failed watch shows what the app said last, whatever it failed for.
func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		path, add := newLog(t, "")
		h.state.LogPath = path
		h.answer = always(500)
		h.script = func(*host, time.Duration) { add(fmt.Sprintln("line", len(h.asked))) }
		w := h.watch(t.Context(), subject())
		if n := len(w.result.Tail); n == 0 || n > tailLines {
			t.Errorf("tail has %d lines", n)
		}
	})
}

func TestFollower(t *testing.T) {
	path, add := newLog(t, "old\n")
	var f follower
	defer f.close()
	read := func(all bool, want ...string) {
		t.Helper()
		got, err := f.read(path, all)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	read(false)
	add("one\ntw")
	read(false, "one")
	add("o\n")
	read(false, "two")

	// Renamed and begun anew: what was written last to the old file is not lost.
	add("three\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	read(false, "three")
	add("four\n")
	read(false, "four")

	// Truncated in place.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	add("5\n")
	read(false, "5")

	// Another file altogether, and a line without end.
	path, add = newLog(t, "six\n")
	read(false, "six")
	add(strings.Repeat("x", maxLine+1))
	read(false, strings.Repeat("x", maxLine))
	read(true, "x")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	read(false)
}

func TestFollowerOfALogToCome(t *testing.T) {
	path, add := newLog(t, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	var f follower
	defer f.close()
	if lines, err := f.read(path, false); err != nil || lines != nil {
		t.Fatalf("%q, %v", lines, err)
	}
	add("first\n")
	if lines, err := f.read(path, false); err != nil || len(lines) != 1 {
		t.Errorf("%q, %v", lines, err)
	}
	if _, err := f.read(path+"/below", false); err == nil {
		t.Error("a path below a file was read")
	}
}

func TestLogThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		path, _ := newLog(t, "")
		h.state.LogPath = path + "/below"
		w := h.watch(t.Context(), subject())
		if !w.result.Pass || w.check("log").Outcome != deploy.OutcomeNoData {
			t.Errorf("result = %+v, %v", w.result, w.err)
		}
	})
}
