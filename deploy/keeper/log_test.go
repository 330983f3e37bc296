package keeper

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogRotatesAfterLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path, 16, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one\n", "two\n", "three\n", "four\n", "five\nsix\n", strings.Repeat("x", 40) + "\n", "end\n"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", s, n, err)
		}
	}
	l.Close()
	want := map[string]string{
		"":   "xxxxxx\nend\n",
		".1": strings.Repeat("x", 16),
		".2": strings.Repeat("x", 16),
	}
	for suffix, text := range want {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Error(err)
		} else if string(b) != text {
			t.Errorf("log%s holds %q, want %q", suffix, b, text)
		}
	}
}

func TestLogGoesOnWhereItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, s := range []string{"0123456789\n", "abcdefghij\n"} {
		l, err := openLog(path, 16, 2)
		if err != nil {
			t.Fatal(err)
		}
		l.Write([]byte(s))
		l.Close()
	}
	old, _ := os.ReadFile(path + ".1")
	now, _ := os.ReadFile(path)
	if string(old) != "0123456789\n" || string(now) != "abcdefghij\n" {
		t.Errorf("%q then %q", old, now)
	}
}

// Nothing written is lost or changed as long as there is room for it, and no file is ever too long.
func TestLogKeepsEveryByte(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		path := filepath.Join(t.TempDir(), "log")
		limit := int64(8 + random.IntN(64))
		l, err := openLog(path, limit, 200)
		if err != nil {
			t.Fatal(err)
		}
		var all bytes.Buffer
		for range 20 {
			p := make([]byte, random.IntN(40))
			for i := range p {
				p[i] = "abc\n"[random.IntN(4)]
			}
			all.Write(p)
			l.Write(p)
		}
		l.Close()
		var got []byte
		for i := 200; i >= 0; i-- {
			name := l.old(i)
			if i == 0 {
				name = path
			}
			b, err := os.ReadFile(name)
			if err == nil && int64(len(b)) > limit {
				t.Fatalf("%s has %d bytes, limit %d", name, len(b), limit)
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, all.Bytes()) {
			t.Fatalf("limit %d: got %q, want %q", limit, got, all.Bytes())
		}
	}
}

func TestLogWithoutADiskLosesOnlyBytes(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(filepath.Join(dir, "log"), 8, 2)
	if err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(dir)
	for range 10 {
		if n, err := l.Write([]byte("lost\n")); n != 5 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
}
