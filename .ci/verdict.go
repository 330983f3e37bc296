// Verdict reads the output of `make check TESTFLAGS=-json` from its standard input and prints what a
// person wants to read of it: everything that is not a test's, Go's usual closing line of each
// package, and the whole output of each test that failed. It fails if a test failed, or if one was
// skipped that its only argument, a file of allowed skips, does not list.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is a line of go test's JSON output (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verdict ALLOWED-SKIPS <OUTPUT")
		os.Exit(2)
	}
	allowed, err := readAllowed(os.Args[1])
	if err == nil {
		err = judge(os.Stdin, os.Stdout, allowed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(1)
	}
}

func readAllowed(name string) (map[string]bool, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	allowed := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			allowed[line] = true
		}
	}
	return allowed, nil
}

// tally is what has been seen so far.
type tally struct {
	out                     io.Writer
	allowed                 map[string]bool
	outputs                 map[string]*strings.Builder // of tests that have not ended
	passed, failed, skipped int
	broken                  bool // a package failed, perhaps without any test of its own
	forbidden               []string
}

func judge(in io.Reader, out io.Writer, allowed map[string]bool) error {
	t := &tally{out: out, allowed: allowed, outputs: map[string]*strings.Builder{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			t.line(line)
		}
		if err == io.EOF {
			return t.verdict()
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) line(line []byte) {
	var e event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil || e.Action == "" {
		t.out.Write(line)
		return
	}
	switch {
	case e.Action == "output" && e.Test != "":
		t.output(e).WriteString(e.Output)
	case e.Action == "output" && !noise(e.Output), e.Action == "build-output":
		io.WriteString(t.out, e.Output)
	case e.Test == "":
		t.broken = t.broken || e.Action == "fail" || e.Action == "build-fail"
	default:
		t.end(e)
	}
}

// noise tells whether a package's line of output says nothing beyond its closing line.
func noise(line string) bool {
	return line == "PASS\n" || strings.HasPrefix(line, "-test.shuffle ")
}

func (t *tally) output(e event) *strings.Builder {
	name := e.Package + " " + e.Test
	if t.outputs[name] == nil {
		t.outputs[name] = &strings.Builder{}
	}
	return t.outputs[name]
}

func (t *tally) end(e event) {
	name := e.Package + " " + e.Test
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		io.WriteString(t.out, t.output(e).String())
	case "skip":
		t.skipped++
		if !t.allowed[name] {
			t.forbidden = append(t.forbidden, name+"\n"+t.output(e).String())
		}
	default:
		return
	}
	delete(t.outputs, name)
}

func (t *tally) verdict() error {
	for name, output := range t.outputs { // a test binary that died leaves tests without an end
		fmt.Fprintf(t.out, "%s did not end:\n%s", name, output)
	}
	fmt.Fprintf(t.out, "%d tests passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	sort.Strings(t.forbidden)
	for _, name := range t.forbidden {
		fmt.Fprintf(t.out, "skipped, but not listed in .ci/allowed-skips: %s", name)
	}
	switch {
	case t.broken || t.failed > 0 || len(t.outputs) > 0:
		return fmt.Errorf("tests failed")
	case len(t.forbidden) > 0:
		return fmt.Errorf("tests were skipped")
	case t.passed == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}
