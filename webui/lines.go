package webui

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"slipway/webui/ansi"
)

// blockLines is how many lines a block holds: 1 to 200, 201 to 400 and so on. Browsers lay out a block when it
// is about to be seen. The stylesheet and the script count on this number.
const blockLines = 200

// maxEmptyBlocks is how many blocks a page keeps a place for. Browsers do not go beyond some 17 million pixels.
const maxEmptyBlocks = 4000

// blockStart is the first line of the block that a line is in.
func blockStart(line int) int { return line - (line-1)%blockLines }

// emptyBlocks are where the blocks of the first lines begin; none if they are too many.
func emptyBlocks(lines int) []int {
	if lines > maxEmptyBlocks*blockLines {
		return nil
	}
	var all []int
	for from := 1; from <= lines; from += blockLines {
		all = append(all, from)
	}
	return all
}

// blocks writes lines that follow one another in their blocks. A page has thousands of lines, for each of which a
// template would take ten times as long.
func blocks(log string, lines []Line) template.HTML {
	var b strings.Builder
	for len(lines) > 0 {
		start := blockStart(lines[0].Number)
		n := min(len(lines), start+blockLines-lines[0].Number)
		fmt.Fprintf(&b, "<ol id=\"%s/%d\">%s</ol>\n", template.HTMLEscapeString(log), start, items(log, lines[:n]))
		lines = lines[n:]
	}
	return template.HTML(b.String())
}

// items writes lines as the items of a block.
func items(log string, lines []Line) template.HTML {
	var b strings.Builder
	log = template.HTMLEscapeString(log)
	for _, l := range lines {
		fmt.Fprintf(&b, "<li id=\"%s:%d\"><a href=\"#%[1]s:%[2]d\" aria-label=\"Line %[2]d\">%[2]d</a><span>%[3]s</span></li>\n", log, l.Number, l.HTML)
	}
	return template.HTML(b.String())
}

// excerpt is some lines of a log, and where in the file they end.
type excerpt struct {
	first  int // number of the first line, from 1
	lines  []Line
	total  int        // lines of the whole log; the last counts although its newline is missing
	offset int64      // bytes up to the end of the last whole line that was read
	next   int        // number of the line that begins there
	style  ansi.Style // that it begins with
}

// last reads at least the last most lines of a log of that many bytes, from the beginning of a block on. A line
// that has no newline yet is left to those who follow the log, unless it ended.
func last(f io.ReaderAt, size int64, most int, ended bool) (excerpt, error) {
	total, err := countLines(f, size)
	if err != nil {
		return excerpt{}, err
	}
	return window(f, size, blockStart(max(1, total-most+1)), most+blockLines, ended)
}

// window reads count lines of a log from line first on. Colours that an earlier line switched on are not
// known.
func window(f io.ReaderAt, size int64, first, count int, ended bool) (excerpt, error) {
	e := excerpt{first: first, next: 1}
	var style ansi.Style
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 64<<10)
	for at := int64(0); ; {
		line, length, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return excerpt{}, fmt.Errorf("reading a log: %w", err)
		}
		if length == 0 {
			return e, nil
		}
		e.total++
		whole := err == nil
		at += int64(length)
		if e.total >= first && e.total < first+count && (whole || ended) {
			var html string
			html, style = ansi.Line(string(line), style)
			e.lines = append(e.lines, Line{e.total, template.HTML(html)})
		}
		if whole {
			e.offset, e.next, e.style = at, e.total+1, style
		}
		if !whole {
			return e, nil
		}
	}
}

// readLine returns a line without its newline, as much of it as is ever shown, and how many bytes it
// has with it. It returns [io.EOF] for a line without newline.
func readLine(r *bufio.Reader) (line []byte, length int, err error) {
	for {
		part, err := r.ReadSlice('\n')
		length += len(part)
		if room := ansi.MaxLine + 1 - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte("\n")), length, err
		}
	}
}

// block reads the block that begins with line first. Of a block that is not there it returns no lines.
func block(f io.ReaderAt, size int64, first int) ([]Line, error) {
	offset, err := offsetOf(f, size, first)
	if err != nil {
		return nil, err
	}
	at := follower{offset: offset, next: first}
	return at.take(f, size, true, blockLines, math.MaxInt)
}

// offsetOf returns where a line begins, the end of the log for one that it does not have.
func offsetOf(f io.ReaderAt, size int64, line int) (int64, error) {
	buffer := make([]byte, 64<<10)
	r := io.NewSectionReader(f, 0, size)
	before := line - 1 // newlines that are still to be passed
	for offset := int64(0); before > 0; {
		n, err := r.Read(buffer)
		if count := bytes.Count(buffer[:n], []byte("\n")); count < before {
			before, offset = before-count, offset+int64(n)
		} else {
			for ; before > 0; before-- {
				length := bytes.IndexByte(buffer, '\n') + 1
				buffer, offset = buffer[length:], offset+int64(length)
			}
			return offset, nil
		}
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return 0, fmt.Errorf("reading a log: %w", err)
		}
	}
	return 0, nil
}

func countLines(f io.ReaderAt, size int64) (int, error) {
	buffer := make([]byte, 64<<10)
	total, last := 0, byte('\n')
	r := io.NewSectionReader(f, 0, size)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			total += bytes.Count(buffer[:n], []byte("\n"))
			last = buffer[n-1]
		}
		if errors.Is(err, io.EOF) {
			if last != '\n' {
				total++
			}
			return total, nil
		}
		if err != nil {
			return 0, fmt.Errorf("reading a log: %w", err)
		}
	}
}

// follower reads whole lines of a log that grows.
type follower struct {
	offset int64
	next   int // number of the line at offset
	style  ansi.Style
}

// Bounds of what is handed on at once.
const (
	batch      = 2000      // lines
	batchBytes = 256 << 10 // of HTML; one line may be longer
)

// read returns the whole lines from the follower's offset up to end, and moves it behind them; ended
// makes the last line whole.
func (f *follower) read(r io.ReaderAt, end int64, ended bool) ([]Line, error) {
	return f.take(r, end, ended, batch, batchBytes)
}

// take is read with other bounds: most lines, and about mostBytes of HTML.
func (f *follower) take(r io.ReaderAt, end int64, ended bool, most, mostBytes int) ([]Line, error) {
	var lines []Line
	in := bufio.NewReaderSize(io.NewSectionReader(r, f.offset, max(0, end-f.offset)), 64<<10)
	for size := 0; len(lines) < most && size < mostBytes; {
		line, length, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading a log: %w", err)
		}
		if length == 0 || err != nil && !ended {
			break
		}
		var html string
		html, f.style = ansi.Line(string(line), f.style)
		lines = append(lines, Line{f.next, template.HTML(html)})
		size += len(html)
		f.offset += int64(length)
		f.next++
	}
	return lines, nil
}
