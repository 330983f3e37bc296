package build

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutputIsCutAndEndsWithTheCause(t *testing.T) {
	var log strings.Builder
	o := newOutput(&log, 10)
	for _, s := range []string{"12345", "67890ab", "cd\n", "the cause\n"} {
		if n, err := o.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", s, n, err)
		}
	}
	if err := o.finish(); err != nil {
		t.Fatal(err)
	}
	want := "1234567890\n[the log was cut here, at 10 bytes; the output went on]\n" +
		"[15 bytes were not kept; the last lines were:]\n1234567890abcd\nthe cause\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestOutputPutsNotesOnLinesOfTheirOwn(t *testing.T) {
	var log strings.Builder
	o := newOutput(&log, 1<<20)
	o.note("first")
	o.Write([]byte("half a "))
	o.note("reached %s", "proxy.test:443")
	o.Write([]byte("line\n"))
	if got, want := log.String(), "first\nhalf a \nreached proxy.test:443\nline\n"; got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
}

type fullDisk struct{ calls int }

func (f *fullDisk) Write([]byte) (int, error) {
	f.calls++
	return 0, errors.New("no space left on device")
}

func TestOutputIsDrainedWhenTheLogFails(t *testing.T) {
	disk := &fullDisk{}
	o := newOutput(disk, 1<<20)
	for range 3 {
		if n, err := o.Write([]byte("line\n")); n != 5 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := o.finish(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("finish = %v", err)
	}
	if disk.calls != 1 {
		t.Errorf("a failed log was written to %d times", disk.calls)
	}
	if len(o.Lines()) != 3 {
		t.Errorf("tail = %q", o.Lines())
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1536: "1.5 KiB", 64 << 20: "64 MiB", 3 << 30: "3 GiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}
