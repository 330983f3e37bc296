package release

import (
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"slipway/deploy/keeper"
)

// keptOutput is how much of an output is looked at for its last lines.
const keptOutput = 32 << 10

// lastLines returns the last lines that an instance said, fit for anybody's terminal.
func lastLines(folder string, n int) []string {
	f, err := os.Open(keeper.LogPath(folder))
	if err != nil {
		return nil
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-keptOutput), io.SeekStart)
	}
	b, _ := io.ReadAll(f)
	return clean(b, n)
}

// escapes are terminal escape sequences (ECMA-48): control sequences, strings, and the short ones.
var escapes = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[ -/]*[0-~])")

// clean returns the last n lines of b without blank ones at the end, escape sequences and control
// characters.
func clean(b []byte, n int) []string {
	const longest = 500
	text := strings.ToValidUTF8(escapes.ReplaceAllString(string(b), ""), "\uFFFD")
	lines := strings.Split(strings.TrimRight(text, " \t\r\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		line = strings.TrimRight(line, " \t\r")
		if cr := strings.LastIndexByte(line, '\r'); cr >= 0 {
			line = line[cr+1:] // what a carriage return overwrote is gone, as on a screen
		}
		line = strings.Map(func(r rune) rune {
			if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				return -1
			}
			return r
		}, line)
		if len(line) > longest {
			line = strings.ToValidUTF8(line[:longest], "")
		}
		lines[i] = line
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines
}

// recent passes on what is written and remembers its end. It is safe for concurrent use.
type recent struct {
	to io.Writer

	mu  sync.Mutex
	end []byte
}

// Write never fails because of to.
func (r *recent) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.to.Write(p)
	r.end = append(r.end, p[max(0, len(p)-keptOutput):]...)
	if len(r.end) > 2*keptOutput {
		r.end = append([]byte(nil), r.end[len(r.end)-keptOutput:]...)
	}
	return len(p), nil
}

func (r *recent) lines(n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return clean(r.end, n)
}
