package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// What an app prints reaches its log without the values, however it comes.
func TestStory(t *testing.T) {
	m := New(map[string]string{"PASSWORD": "hunter22", "URL": "postgres://shop:hunter22@db/shop", "TINY": "abc"})
	var log bytes.Buffer
	w := m.Writer(&log)
	for _, part := range []string{"connecting to post", "gres://shop:hunter22@db/sh", "op\nwith hunt", "er22 and hunter2, abc\n", "hunt"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := log.String(), "connecting to [URL]\nwith [PASSWORD] and hunter2, abc\n"; got != want {
		t.Errorf("so far %q, want %q", got, want)
	}
	if err := w.Close(); err != nil || !strings.HasSuffix(log.String(), "abc\nhunt") {
		t.Errorf("at the end %q, %v", log.String(), err)
	}
}

func TestForms(t *testing.T) {
	key := "-----BEGIN KEY-----\r\nMHcCAQEEIJ+/abc\r\nkey==\r\n-----END KEY-----\r\n"
	long := strings.Repeat("0123456789abcdef", 40) + "end"
	value := `p&ss "wörd"/` + "\t?"
	quoted, _ := json.Marshal(value)
	for name, c := range map[string]struct{ value, text, want string }{
		"exact":             {"secret", "a secret here", "a [V] here"},
		"twice":             {"secret", "secretsecret, secret", "[V], [V]"},
		"overlapping":       {"abab", "xababab.", "x[V]."},
		"too short":         {"abc", "abc", "abc"},
		"empty":             {"", "abc", "abc"},
		"blanks only":       {"     ", "a      b", "a      b"},
		"blanks around":     {"  secret ", "secret", "[V]"},
		"lines":             {key, "say: MHcCAQEEIJ+/abc\nkey==\n", "say: [V]\n[V]\n"},
		"all lines":         {key, strings.ReplaceAll(key, "\r", ""), "[V]\n[V]\n[V]\n[V]\n"},
		"short lines":       {"a\nb\nc", "<a\nb\nc>", "<[V]>"},
		"long":              {long, "<" + long + ">", "<[V]>"},
		"long, cut":         {long, "<" + long[:130], "<[V]01"},
		"JSON":              {value, string(quoted), `"[V]"`},
		"query":             {value, "?p=" + url.QueryEscape(value), "?p=[V]"},
		"path":              {value, "/" + url.PathEscape(value) + "/x", "/[V]/x"},
		"base64":            {"hunter22", base64.StdEncoding.EncodeToString([]byte("hunter22")), "[V]I="},
		"user and password": {"hunter22", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:hunter22")), "Basic YTp[V]g=="},
		"base64 in a URL":   {"<<??>>~~", base64.RawURLEncoding.EncodeToString([]byte("-<<??>>~~")), "LT[V]"},
	} {
		if got := New(map[string]string{"V": c.value}).String(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := New(map[string]string{"B": "same", "A": "same"}).String("same"); got != "[A]" {
		t.Errorf("two names: %q", got)
	}
	var none *Mask
	if got := none.String("text"); got != "text" || New(nil) != nil {
		t.Errorf("no values: %q", got)
	}
	if got := New(map[string]string{"V": "secret"}).Strings([]string{"a secret", "b"}); fmt.Sprint(got) != "[a [V] b]" {
		t.Errorf("strings: %q", got)
	}
}

// However the text is cut, the result is the same, and no value is in it.
func TestPiecesOfAnySize(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := map[string]string{"A": "abca", "B": "bcabca", "C": "cabbage", "D": "aaaaaa", "E": "ab\nab"}
	m := New(values)
	for range 2000 {
		var text strings.Builder
		for range random.IntN(60) {
			text.WriteByte("abcg\n"[random.IntN(5)])
			if random.IntN(12) == 0 {
				text.WriteString(values[string("ABCDE"[random.IntN(5)])])
			}
		}
		want := m.String(text.String())
		var got bytes.Buffer
		w := m.Writer(&got)
		for rest := text.String(); rest != ""; {
			n := min(len(rest), 1+random.IntN(5))
			if taken, err := io.WriteString(w, rest[:n]); taken != n || err != nil {
				t.Fatal(taken, err)
			}
			rest = rest[n:]
		}
		_ = w.Close()
		if got.String() != want {
			t.Fatalf("%q becomes %q in pieces, and %q as a whole", text.String(), got.String(), want)
		}
		for name, value := range values {
			if strings.Contains(want, value) {
				t.Fatalf("%s is in %q, made of %q", name, want, text.String())
			}
		}
	}
}

// A line's end is passed on at once, so that a log can be followed.
func TestNothingIsKeptBackAtALinesEnd(t *testing.T) {
	m := New(map[string]string{"KEY": "\n\nfirst line\nsecond line\n", "LIST": "a\nbcdefgh"})
	var log bytes.Buffer
	w := m.Writer(&log)
	_, _ = io.WriteString(w, "hello\n")
	if log.String() != "hello\n" {
		t.Errorf("%q", log.String())
	}
}

func FuzzWriter(f *testing.F) {
	f.Add("secret", "a secret", 3)
	f.Fuzz(func(t *testing.T, value, text string, cut int) {
		m := New(map[string]string{"V": value, "W": "other value"})
		cut = min(max(cut, 0), len(text))
		var got bytes.Buffer
		w := m.Writer(&got)
		_, _ = io.WriteString(w, text[:cut])
		_, _ = io.WriteString(w, text[cut:])
		_ = w.Close()
		if got.String() != m.String(text) {
			t.Fatalf("%q and %q", got.String(), m.String(text))
		}
		if strings.Contains(got.String(), "other value") {
			t.Fatalf("a value in %q", got.String())
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	values := map[string]string{}
	for i := range 30 {
		values[fmt.Sprintf("NAME_%d", i)] = fmt.Sprintf("%x-value-of-a-secret-%d", i*7919, i)
	}
	w := New(values).Writer(io.Discard)
	text := []byte(strings.Repeat("2026/11/22 10:11:12 GET /products/42 200 12ms a common line of a log\n", 400))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = w.Write(text)
	}
}
