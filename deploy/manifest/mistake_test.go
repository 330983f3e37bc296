package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// Each mistake is told as a newcomer would like to read it: where, what was found, what was expected.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "[build]\nrun = 'x'\ntiemout = \"10m\"\n", `
slipway.toml:3:1: unknown key "tiemout" in [build]; did you mean "timeout"?
3 | tiemout = "10m"
  | ^^^^^^^`},
		{"hyphens", "[monitor]\nbake-time = '1m'\n", `
slipway.toml:2:1: unknown key "bake-time" in [monitor]; did you mean "bake_time"?
2 | bake-time = '1m'
  | ^^^^^^^^^`},
		{"another tool's word", "[test.unit]\ncommand = 'x'\nrun = 'x'\n", `
slipway.toml:2:1: unknown key "command" in [test.unit]; did you mean "run"?
2 | command = 'x'
  | ^^^^^^^`},
		{"another section's key", "[test.unit]\nrun = 'x'\ncache = ['a']\n", `
slipway.toml:3:1: unknown key "cache" in [test.unit]; it belongs in [build]
3 | cache = ['a']
  | ^^^^^`},
		{"far from everything", "[verify]\ncolour = 'x'\n", `
slipway.toml:2:1: unknown key "colour" in [verify]; known keys are url
2 | colour = 'x'
  | ^^^^^^`},
		{"unknown section", "[tests.unit]\nrun = 'x'\n", `
slipway.toml:1:2: unknown section [tests]; did you mean [test.NAME]?
1 | [tests.unit]
  |  ^^^^^`},
		{"web section", "[web]\nrun = 'x'\n", `
slipway.toml:1:2: unknown section [web]; did you mean [process.web]?
1 | [web]
  |  ^^^`},
		{"key as section", "[env]\nA = 'x'\n", `
slipway.toml:1:2: unknown section [env]; env is a key of [build] or [test.NAME] or [process.NAME]
1 | [env]
  |  ^^^`},
		{"port", "[process.web]\nrun = 'x'\nport = 3000\n", `
slipway.toml:3:1: unknown key "port" in [process.web]; the server chooses a port and gives it in $PORT; listen on 127.0.0.1:$PORT
3 | port = 3000
  | ^^^^`},
		{"no section", "timeout = '10m'\n", `
slipway.toml:1:1: key "timeout" stands before any section; it belongs in [build] or [test.NAME]: write that line above it
1 | timeout = '10m'
  | ^^^^^^^`},
		{"section as value", "build = 'make'\n", `
slipway.toml:1:1: build is "make"; expected a section: write [build] and its keys below
1 | build = 'make'
  | ^^^^^`},
		{"test without name", "[test]\nrun = 'make test'\n", `
slipway.toml:2:1: "run" stands in [test], which holds named sections only; write [test.unit] above it, or give it a name of your own
2 | run = 'make test'
  | ^^^`},
		{"array of tables", "[[test]]\nrun = 'x'\n", `
slipway.toml:1:3: test is an array of tables; expected sections with names, such as [test.unit]
1 | [[test]]
  |   ^^^^`},
		{"array of named tables", "[[process.web]]\nrun = 'x'\n", `
slipway.toml:1:11: "web" stands in [process], which holds named sections only; write [process.web] above it, or give it a name of your own
1 | [[process.web]]
  |           ^^^`},
		{"bad name", "[test.Unit_1]\nrun = 'x'\n", `
slipway.toml:1:7: "Unit_1" is no name for a test set; a name is lower-case letters, digits and hyphens, and begins with a letter; at most 40
1 | [test.Unit_1]
  |       ^^^^^^`},
		{"no run", "[test.unit]\ntimeout = '1m'\n", `
slipway.toml:1:7: [test.unit] has no run; expected run = "make test"
1 | [test.unit]
  |       ^^^^`},
		{"number for duration", "[build]\nrun = 'x'\ntimeout = 600\n", `
slipway.toml:3:11: [build] timeout is the number 600; expected a duration in quotes with its unit, such as "600s"
3 | timeout = 600
  |           ^^^`},
		{"duration without unit", "[monitor]\nbake_time = '15'\n", `
slipway.toml:2:13: [monitor] bake_time is "15"; expected a unit too, such as "15s"
2 | bake_time = '15'
  |             ^^^^`},
		{"duration in days", "[monitor]\nbake_time = '2 days'\n", `
slipway.toml:2:13: [monitor] bake_time is "2 days"; write "48h"
2 | bake_time = '2 days'
  |             ^^^^^^^^`},
		{"duration in words", "[monitor]\nbake_time = 'soon'\n", `
slipway.toml:2:13: [monitor] bake_time is "soon"; expected a duration such as "250ms", "30s", "10m" or "1h30m"
2 | bake_time = 'soon'
  |             ^^^^^^`},
		{"negative duration", "[monitor]\nbake_time = '-1s'\n", `
slipway.toml:2:13: [monitor] bake_time is "-1s"; expected at least 0s
2 | bake_time = '-1s'
  |             ^^^^^`},
		{"hasty", "[monitor]\ninterval = '1ms'\n", `
slipway.toml:2:12: [monitor] interval is "1ms"; expected at least 10ms
2 | interval = '1ms'
  |            ^^^^^`},
		{"number for size", "[test.unit]\nrun = 'x'\nmemory = 512\n", `
slipway.toml:3:10: [test.unit] memory is the number 512; expected a size in quotes with its unit, such as "512MiB"
3 | memory = 512
  |          ^^^`},
		{"half a unit", "[test.unit]\nrun = 'x'\nmemory = '512M'\n", `
slipway.toml:3:10: [test.unit] memory is "512M"; write "512MiB" (times 1,024) or "512MB" (times 1,000)
3 | memory = '512M'
  |          ^^^^^^`},
		{"no size", "[test.unit]\nrun = 'x'\nmemory = '0GiB'\n", `
slipway.toml:3:10: [test.unit] memory is "0GiB"; expected a size between 1B and 8192TiB
3 | memory = '0GiB'
  |          ^^^^^^`},
		{"quoted boolean", "[test.unit]\nrun = 'x'\nnetwork = 'yes'\n", `
slipway.toml:3:11: [test.unit] network is "yes"; expected true or false, without quotes
3 | network = 'yes'
  |           ^^^^^`},
		{"run of numbers", "[build]\nrun = ['a', 2]\n", `
slipway.toml:2:13: [build] run, item 2, is the number 2; expected a string in quotes
2 | run = ['a', 2]
  |             ^`},
		{"empty run", "[build]\nrun = []\n", `
slipway.toml:2:7: [build] run is an empty array; expected at least one command, such as "make test"
2 | run = []
  |       ^`},
		{"blank run", "[build]\nrun = ' '\n", `
slipway.toml:2:7: [build] run is empty; expected a command in quotes, such as "make test"
2 | run = ' '
  |       ^^^`},
		{"process of several commands", "[process.web]\nrun = ['a', 'b']\n", `
slipway.toml:2:7: [process.web] run is an array; expected one command in quotes: a process is one, join several with &&
2 | run = ['a', 'b']
  |       ^`},
		{"number in env", "[process.web]\nrun = 'x'\nenv = { WORKERS = 4 }\n", `
slipway.toml:3:19: [process.web] env WORKERS is the number 4; expected a string: write "4"
3 | env = { WORKERS = 4 }
  |                   ^`},
		{"env of strings", "[process.web]\nrun = 'x'\nenv = ['A=b']\n", `
slipway.toml:3:7: [process.web] env is an array; expected a table of strings, such as { LOG_LEVEL = "debug" }
3 | env = ['A=b']
  |       ^`},
		{"env name", "[process.web]\nrun = 'x'\nenv = { \"A B\" = 'c' }\n", `
slipway.toml:3:9: "A B" is no name of a variable; a name is letters, digits and underscores, and does not begin with a digit
3 | env = { "A B" = 'c' }
  |         ^^^^^`},
		{"env of ours", "[process.web]\nrun = 'x'\nenv = { SLIPWAY_APP = 'c' }\n", `
slipway.toml:3:9: [process.web] env sets SLIPWAY_APP; names that begin with SLIPWAY_ are set by the server
3 | env = { SLIPWAY_APP = 'c' }
  |         ^^^^^^^^^^^`},
		{"own port", "[process.web]\nrun = 'x'\nenv = { PORT = '3000' }\n", `
slipway.toml:3:1: [process.web] env sets PORT; the server gives each instance a port of its own in $PORT; listen on 127.0.0.1:$PORT
3 | env = { PORT = '3000' }
  | ^^^`},
		{"needs a string", "[test.a]\nrun = 'x'\n[test.b]\nrun = 'x'\nneeds = 'a'\n", `
slipway.toml:5:9: [test.b] needs is "a"; expected an array: ["a"]
5 | needs = 'a'
  |         ^^^`},
		{"unknown need", "[test.unit]\nrun = 'x'\n[test.b]\nrun = 'x'\nneeds = ['unti']\n", `
slipway.toml:5:10: test set "b" needs "unti", which does not exist; did you mean "unit"?
5 | needs = ['unti']
  |          ^^^^^^`},
		{"own need", "[test.b]\nrun = 'x'\nneeds = ['b']\n", `
slipway.toml:3:10: test set "b" needs itself; expected the name of another set
3 | needs = ['b']
  |          ^^^`},
		{"circle", "[test.a]\nrun='x'\nneeds=['b']\n[test.b]\nrun='x'\nneeds=['c']\n[test.c]\nrun='x'\nneeds=['a']\n", `
slipway.toml:9:8: test sets need each other in a circle: a → b → c → a; one of them must come first
9 | needs=['a']
  |        ^^^`},
		{"absolute cache", "[build]\nrun='x'\ncache = ['/var/cache']\n", `
slipway.toml:3:10: [build] cache, item 1, is "/var/cache"; expected a folder inside the work tree, without a leading / or ~
3 | cache = ['/var/cache']
  |          ^^^^^^^^^^^^`},
		{"cache outside", "[build]\nrun='x'\ncache = ['a/../../b']\n", `
slipway.toml:3:10: [build] cache, item 1, is "a/../../b"; expected a folder inside the work tree, without ..
3 | cache = ['a/../../b']
  |          ^^^^^^^^^^^`},
		{"caches in each other", "[build]\nrun='x'\ncache = ['a', './a/b/']\n", `
slipway.toml:3:1: [build] cache names "a" and "a/b", which overlap; expected folders apart from each other
3 | cache = ['a', './a/b/']
  | ^^^^^`},
		{"bad pattern", "[monitor]\nerror_pattern = 'panic('\n", `
slipway.toml:2:17: [monitor] error_pattern is "panic("; expected a regular expression (RE2): missing closing ): ` + "`panic(`" + `
2 | error_pattern = 'panic('
  |                 ^^^^^^^^`},
		{"pattern of everything", "[monitor]\nerror_pattern = '.*'\n", `
slipway.toml:2:17: [monitor] error_pattern is ".*"; it matches an empty line, so every app would fail; expected a pattern that matches something
2 | error_pattern = '.*'
  |                 ^^^^`},
		{"percent", "[monitor]\nmax_error_rate = 5\n", `
slipway.toml:2:18: [monitor] max_error_rate is the number 5; expected a share between 0 and 1, such as 0.05 for 5%
2 | max_error_rate = 5
  |                  ^`},
		{"one release", "[deploy]\nkeep_releases = 1\n", `
slipway.toml:2:17: [deploy] keep_releases is the number 1; expected a whole number of at least 2
2 | keep_releases = 1
  |                 ^`},
		{"health path", "[health]\npath = 'up'\n", `
slipway.toml:2:8: [health] path is "up"; expected the path of a request, such as "/up"
2 | path = 'up'
  |        ^^^^`},
		{"health url here", "[health]\nurl = 'https://example.com/up'\n", `
slipway.toml:2:1: [health] url is for a production elsewhere, and [deploy] has no run; here write [health] path, such as path = "/up"
2 | url = 'https://example.com/up'
  | ^^^`},
		{"half elsewhere", "[deploy]\nrun = './ship'\nundo = './ship -u'\n[health]\nurl = 'https://example.com/up'\n", `
slipway.toml:2:1: [deploy] run needs [verify] url; the address that answers with the revision in production
2 | run = './ship'
  | ^^^`},
		{"undo alone", "[deploy]\nundo = './ship -u'\n", `
slipway.toml:2:1: [deploy] undo has no run to undo; it goes with [deploy] run, where production is elsewhere
2 | undo = './ship -u'
  | ^^^^`},
		{"secret in a url", "[deploy]\nrun='x'\nundo='y'\n[verify]\nurl='https://e.com'\n[health]\nurl = 'https://me:secret@e.com/'\n", `
slipway.toml:7:7: [health] url holds a user name or password; addresses are shown in logs; expected one without
7 | url = 'https://me:secret@e.com/'
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^`},
		{"app without web", "[test.e2e]\nrun='x'\napp=true\n[process.worker]\nrun='y'\n", `
slipway.toml:3:1: test set "e2e" wants the app beside it, and there is no process "web"; expected a section [process.web]
3 | app=true
  | ^^^`},
		{"no quotes", "[build]\nrun = make build # all of it\n", `
slipway.toml:2:7: the value of run is not in quotes; write run = "make build"
2 | run = make build # all of it
  |       ^^^^^^^^^^`},
		{"no quotes around a duration", "[build]\ntimeout = 10m\n", `
slipway.toml:2:11: the value of timeout is not in quotes; write timeout = "10m"
2 | timeout = 10m
  |           ^^^`},
		{"open string", "[build]\nrun = \"make\n", `
slipway.toml:2:12: a string is not closed on its line; expected its second quote; a text of several lines stands between three quotes
2 | run = "make
  |            ^`},
		{"twice", "[build]\nrun = 'a'\nrun = 'b'\n", `
slipway.toml:3:1: key run is already defined
3 | run = 'b'
  | ^`},
		{"section twice", "[build]\nrun = 'a'\n\n[build]\n", `
slipway.toml:4:2: table build already exists
4 | [build]
  |  ^`},
		{"YAML", "build:\n  run: make\n", `
slipway.toml:1:6: a key has no value; expected TOML, this looks like YAML: write [section] and key = "value"
1 | build:
  |      ^`},
		{"JSON", "{\"build\": {}}\n", `
slipway.toml:1:1: invalid character at start of key: U+007B '{'; expected TOML, this looks like JSON
1 | {"build": {}}
  | ^`},
		{"conflict", "[build]\n<<<<<<< HEAD\n", `
slipway.toml:2:1: invalid character at start of key: U+003C '<'; a merge conflict was committed here
2 | <<<<<<< HEAD
  | ^`},
		{"several", "[build]\nrn = 'x'\ntimeout = 3\n[monitr]\n", `
slipway.toml:1:2: [build] has no run; expected run = "make build"
slipway.toml:2:1: unknown key "rn" in [build]; did you mean "run"?
slipway.toml:3:11: [build] timeout is the number 3; expected a duration in quotes with its unit, such as "3s"
slipway.toml:4:2: unknown section [monitr]; did you mean [monitor]?
1 | [build]
  |  ^^^^^`},
		{"terminal codes", "[build]\nrun = 'x'\n\"a\\u001b[31m\" = 1\n", `
slipway.toml:3:1: unknown key "a\x1b[31m" in [build]; known keys are run, network, cache, timeout, disk, file_size, env, memory, processes, cpu
3 | "a\u001b[31m" = 1
  | ^^^^^^^^^^^^^`},
		{"characters, not bytes", "[process.web]\nrun = 'x'\nenv = { A = 'äöü', ö = 1 }\n", `
slipway.toml:3:20: invalid character at start of key: 'ö'
3 | env = { A = 'äöü', ö = 1 }
  |                    ^`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("slipway.toml", []byte(c.text))
			if err == nil {
				t.Fatal("no mistake found")
			}
			if d := cmp.Diff(strings.TrimPrefix(c.want, "\n")+"\n", told(t, err)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestMistakeLine(t *testing.T) {
	_, err := Parse("slipway.toml", []byte("[build]\nrun = 'x'\ntiemout = '10m'\n"))
	r, _ := deploy.AsRejection(err)
	if want := `slipway.toml:3:1: unknown key "tiemout" in [build]`; r.Line != want {
		t.Errorf("line = %q, want %q", r.Line, want)
	}
}

func TestManyMistakes(t *testing.T) {
	_, err := Parse("slipway.toml", []byte("[build]\nrun='x'\n"+strings.Repeat("", 1)+many(50)))
	r, _ := deploy.AsRejection(err)
	if len(r.Tail) != maxMistakes || r.Tail[maxMistakes-1] != "and 30 more" {
		t.Errorf("tail = %q", r.Tail)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("x" + strings.Repeat("y", i) + " = 1\n")
	}
	return b.String()
}

func TestTooLarge(t *testing.T) {
	_, err := Parse("slipway.toml", make([]byte, MaxSize+1))
	if got, want := told(t, err), "slipway.toml:1:1: the file is larger than 64 KiB; keep scripts in files of their own and name them here\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestByteOrderMark(t *testing.T) {
	if _, err := Parse("slipway.toml", []byte("\xef\xbb\xbf[process.web]\r\nrun = 'x'\r\n")); err != nil {
		t.Error(err)
	}
}

// A file within the size limit cannot keep the server busy, whatever it holds.
func TestCostly(t *testing.T) {
	repeat := func(head, each, tail string) string {
		n := (MaxSize - len(head) - len(tail) - 1) / len(each)
		return head + strings.Repeat(each, n) + tail
	}
	numbered := func(head, format string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; b.Len() < MaxSize-100; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"nested arrays":       repeat("[build]\nrun = ", "[", ""),
		"nested tables":       repeat("[build]\nenv = ", "{a=", ""),
		"dotted key":          repeat("a", ".a", " = 1"),
		"same caches":         repeat("[build]\nrun='x'\ncache = [", "'a',", "]"),
		"different caches":    numbered("[build]\nrun='x'\n", "#%d\n") + "cache = ['a','b']",
		"needs nobody has":    numbered("[test.a]\nrun='x'\nneeds = [", "'n%d',") + "]",
		"sets that need much": numbered("", "[test.t%[1]d]\nrun='x'\nneeds=['u%[1]d']\n"),
		"chain of sets":       numbered("[test.t0]\nrun='x'\n", "[test.t1%[1]d]\nneeds=['t1%[1]d','t0']\n"),
		"long circle":         circle(1000),
		"long bare value":     repeat("[build]\nrun = a", "a", ""),
		"long key twice":      strings.Repeat("a", 20000) + "=1\n" + strings.Repeat("a", 20000) + "=2\n",
		"unknown keys":        numbered("[build]\nrun='x'\n", "timeou%d=1\n"),
		"long key":            repeat("[build]\n", "a", " = 1"),
		"long string":         repeat("[build]\ntimeout = '", "a", "'"),
		"brackets in pattern": repeat("[monitor]\nerror_pattern = '", "(", "'"),
		"repeated pattern":    "[monitor]\nerror_pattern = '((((a{9}){9}){9}){9}){9}'",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("slipway.toml", []byte(text))
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if err == nil {
				return
			}
			r, _ := deploy.AsRejection(err)
			if len(r.Message) > 1000 || len(r.Line) > 300 || len(r.Hint) > 1000 {
				t.Errorf("message of %d bytes, line of %d, hint of %d", len(r.Message), len(r.Line), len(r.Hint))
			}
		})
	}
}

// circle is a manifest of n sets of which each needs the next and the last the first.
func circle(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[test.t%d]\nrun='x'\nneeds=['t%d']\n", i, (i+1)%n)
	}
	return b.String()
}
