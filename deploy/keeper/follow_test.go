package keeper

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func said(t *testing.T, f *Follower) string {
	t.Helper()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A follower reads everything once and in order, however often the log is rotated.
func TestFollow(t *testing.T) {
	dir := t.TempDir() + "/[a]*"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := Follow(dir)
	defer f.Close()
	if got := said(t, f); got != "" {
		t.Errorf("before there is a log: %q", got)
	}
	log, err := openLog(LogPath(dir), 200, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	random := rand.New(rand.NewPCG(3, 4))
	var want, got bytes.Buffer
	for i := range 1000 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", random.IntN(20)))
		want.WriteString(line)
		_, _ = log.Write([]byte(line))
		if i%10 == 0 || random.IntN(4) == 0 { // ten lines are 300 bytes, which four files hold
			got.WriteString(said(t, f))
		}
	}
	got.WriteString(said(t, f))
	if got.String() != want.String() || f.Lost() {
		t.Errorf("read %d bytes of %d, lost %t", got.Len(), want.Len(), f.Lost())
	}

	// What was rotated away unread is lost, and said to be.
	for i := range 400 {
		_, _ = log.Write(fmt.Appendf(nil, "late %d\n", i))
	}
	late := said(t, f)
	if !f.Lost() || f.Lost() || !strings.HasSuffix(late, "late 398\nlate 399\n") || strings.Contains(late, "late 200\n") {
		t.Errorf("lately %q", late)
	}

	// A log that was moved away, with its folder, is read to its end.
	_, _ = log.Write([]byte("the end\n"))
	if f.Gone() {
		t.Error("gone too soon")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := said(t, f); got != "the end\n" || !f.Gone() {
		t.Errorf("at the end %q", got)
	}
}

// A rotation while the log is being read loses nothing.
func TestFollowWhileWriting(t *testing.T) {
	dir := t.TempDir()
	log, err := openLog(LogPath(dir), 64<<10, 50)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	const lines = 50_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range lines {
			_, _ = log.Write(fmt.Appendf(nil, "line number %d\n", i))
		}
	}()
	f := Follow(dir)
	defer f.Close()
	var got bytes.Buffer
	for writing := true; writing; {
		select {
		case <-done:
			writing = false
		default:
		}
		got.WriteString(said(t, f))
	}
	all := strings.Split(strings.TrimSuffix(got.String(), "\n"), "\n")
	if len(all) != lines || f.Lost() {
		t.Fatalf("%d lines, lost %t", len(all), f.Lost())
	}
	for i, line := range all {
		if line != fmt.Sprintf("line number %d", i) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

func TestLast(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"": "six\nseven", ".1": "three\nfour\nfive\n", ".2": "one\ntwo\n", ".old": "never\n"} {
		if err := os.WriteFile(LogPath(dir)+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[int]string{
		0: "", 1: "seven", 2: "six\nseven", 3: "five\nsix\nseven", 5: "three\nfour\nfive\nsix\nseven",
		6: "two\nthree\nfour\nfive\nsix\nseven", 100: "one\ntwo\nthree\nfour\nfive\nsix\nseven",
	} {
		f := Follow(dir)
		if err := f.Last(n); err != nil {
			t.Fatal(err)
		}
		if got := said(t, f); got != want {
			t.Errorf("the last %d: %q, want %q", n, got, want)
		}
		f.Close()
	}
	long := strings.Repeat("x", 100<<10)
	if err := os.WriteFile(LogPath(dir), []byte("short\n"+long+"\nend\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Follow(dir)
	defer f.Close()
	if err := f.Last(2); err != nil || said(t, f) != long+"\nend\n" {
		t.Errorf("a long line: %v", err)
	}
	empty := Follow(t.TempDir())
	if err := empty.Last(5); err != nil || said(t, empty) != "" {
		t.Errorf("no log: %v", err)
	}
}
