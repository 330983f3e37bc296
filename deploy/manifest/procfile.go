package manifest

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"slipway/deploy"
)

// procfile is what a Procfile says, in the order of its lines, web first.
type procfile struct {
	processes []deploy.Process
	release   string // the command of the process "release", which runs before the switch
}

var procfileLine = regexp.MustCompile(`^([A-Za-z0-9_-]+)\s*:\s*(.*)$`)

// readProcfile returns what the tree's Procfile says, nil if there is none.
func readProcfile(t *tree) (*procfile, error) {
	text, ok, err := t.own(procfileName)
	if err != nil || !ok {
		return nil, err
	}
	return parseProcfile(procfileName, text)
}

// parseProcfile reads lines "name: command" as Heroku defined them; empty lines and those that begin
// with # count for nothing. Names are folded to the form that a process has here: lower case, hyphens
// for underscores.
func parseProcfile(name string, text []byte) (*procfile, error) {
	src := &source{name: name, text: bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))}
	p := &procfile{}
	seen := map[string]bool{}
	at := 0
	for line := range bytes.Lines(src.text) {
		p.line(src, at, string(line), seen)
		at += len(line)
	}
	if len(src.mistakes) == 0 && len(p.processes) == 0 {
		src.fail(0, 1, "it names no process", `expected a line such as "web: ./bin/app"`)
	}
	webFirst(p.processes)
	if err := src.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *procfile) line(src *source, at int, line string, seen map[string]bool) {
	text := strings.TrimSpace(line)
	at += strings.Index(line, text)
	if text == "" || text[0] == '#' {
		return
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		src.fail(at, 1, "the line is not text", "expected UTF-8")
		return
	}
	m := procfileLine.FindStringSubmatch(text)
	if m == nil {
		src.fail(at, len(text), "the line names no process", `expected "name: command"`)
		return
	}
	name, command := fold(m[1]), m[2]
	switch {
	case !namePattern.MatchString(name):
		src.fail(at, len(m[1]), fmt.Sprintf("%q is no name for a process", short(m[1])), "a name begins with a letter, at most 40 letters, digits and hyphens")
	case command == "":
		src.fail(at, len(text), fmt.Sprintf("process %q has no command", short(m[1])), `expected "`+short(m[1])+`: command"`)
	case seen[name]:
		src.fail(at, len(m[1]), fmt.Sprintf("process %q is there twice", short(name)), "each name may stand once")
	case name == "release":
		p.release = command
	default:
		p.processes = append(p.processes, deploy.Process{Name: name, Run: command})
	}
	seen[name] = true
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }
