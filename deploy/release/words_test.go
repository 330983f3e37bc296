package release

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/keeper"
)

func TestShell(t *testing.T) {
	for run, want := range map[string]string{
		"./bin/shop":                      "exec ./bin/shop",
		" ./bin/shop -p $PORT ":           "exec ./bin/shop -p $PORT",
		`gunicorn -b "127.0.0.1:${PORT}"`: `exec gunicorn -b "127.0.0.1:${PORT}"`,
		"A=b ./shop":                      "A=b ./shop",
		"cd web && ./shop":                "cd web && ./shop",
		"./shop | tee log":                "./shop | tee log",
		"./shop $(nproc)":                 "./shop $(nproc)",
		"exec ./shop":                     "exec ./shop",
		"while true":                      "while true",
		"one\ntwo":                        "one\ntwo",
		"$PROGRAM":                        "$PROGRAM",
		"./shop *.conf":                   "./shop *.conf",
		"":                                "",
	} {
		if got := shell(run); !slices.Equal(got, []string{"/bin/sh", "-c", want}) {
			t.Errorf("shell(%q) = %q, want %q", run, got, want)
		}
	}
}

func TestLabel(t *testing.T) {
	seen := make(map[string]string)
	for _, process := range []string{"web", "Web", "web_2", "web.2", "../../etc", "a b", strings.Repeat("x", 100), strings.Repeat("x", 101), "ünicode", "web-2"} {
		l := label(process)
		if other, ok := seen[l]; ok {
			t.Errorf("%q and %q are both %q", process, other, l)
		}
		seen[l] = process
		if len(l) > 30 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is %q", process, l)
		}
	}
	if label("web-2") != "web-2" {
		t.Error("a name that is fine was changed")
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string][]string{
		"":                           nil,
		"\n\n":                       nil,
		"a\nb\r\n\n":                 {"a", "b"},
		"\x1b[31mred\x1b[0m":         {"red"},
		"\x1b]0;title\x07x":          {"x"},
		"10%\r50%\r100%\n":           {"100%"},
		"a\x00b\u202ec":              {"abc"},
		"bad \xff bytes":             {"bad \uFFFD bytes"},
		"1\n2\n3\n4\n5":              {"3", "4", "5"},
		strings.Repeat("x", 1000):    {strings.Repeat("x", 500)},
		"tab\tstays\n\x1b[2Jcleared": {"tab\tstays", "cleared"},
	} {
		if got := clean([]byte(text), 3); !slices.Equal(got, want) {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestLastLines(t *testing.T) {
	dir := t.TempDir()
	if got := lastLines(dir, 3); got != nil {
		t.Errorf("no log: %q", got)
	}
	long := strings.Repeat("line\n", 100_000) + "the end\n"
	if err := os.WriteFile(keeper.LogPath(dir), []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lastLines(dir, 2); !slices.Equal(got, []string{"line", "the end"}) {
		t.Errorf("got %q", got)
	}
}

func TestRecentIsBounded(t *testing.T) {
	r := &recent{to: io.Discard}
	for range 1000 {
		r.Write([]byte(strings.Repeat("x", 1000) + "\n"))
	}
	r.Write([]byte("the end"))
	if len(r.end) > 3*keptOutput {
		t.Errorf("it holds %d bytes", len(r.end))
	}
	if got := r.lines(1); !slices.Equal(got, []string{"the end"}) {
		t.Errorf("got %q", got)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * time.Second: "30s", time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 250 * time.Millisecond: "250ms",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSandboxNames(t *testing.T) {
	name := sandboxName("a-very-long-app-name-of-forty-characters", 1<<62, strings.Repeat("Process", 20), 1000)
	if len(name) > 100 {
		t.Errorf("%d bytes: %s", len(name), name)
	}
	if got := sandboxName("shop", deploy.Number(42), "web", 1); got != "shop.42.web.1" {
		t.Errorf("got %q", got)
	}
}
