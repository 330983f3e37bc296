package webui

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"

	"slipway/webui/ansi"
)

// blockLines is how many lines a block holds. Browsers lay out a block when it is about to be seen.
const blockLines = 200

// excerpt is some lines of a log, and where in the file they end.
type excerpt struct {
	first  int // number of the first line, from 1
	blocks [][]Line
	total  int        // lines of the whole log; the last counts although its newline is missing
	offset int64      // bytes up to the end of the last whole line that was read
	next   int        // number of the line that begins there
	style  ansi.Style // that it begins with
}

// shown is how many lines are in the excerpt.
func (e excerpt) shown() int {
	n := 0
	for _, b := range e.blocks {
		n += len(b)
	}
	return n
}

// last reads the last most lines of a log of that many bytes. A line that has no newline yet is left to
// those who follow the log, unless it ended.
func last(f io.ReaderAt, size int64, most int, ended bool) (excerpt, error) {
	total, err := countLines(f, size)
	if err != nil {
		return excerpt{}, err
	}
	return window(f, size, max(1, total-most+1), most, ended)
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
			e.add(Line{e.total, template.HTML(html)})
		}
		if whole {
			e.offset, e.next, e.style = at, e.total+1, style
		}
		if !whole {
			return e, nil
		}
	}
}

func (e *excerpt) add(l Line) {
	if n := len(e.blocks); n == 0 || len(e.blocks[n-1]) == blockLines {
		e.blocks = append(e.blocks, make([]Line, 0, 16))
	}
	n := len(e.blocks) - 1
	e.blocks[n] = append(e.blocks[n], l)
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
	var lines []Line
	in := bufio.NewReaderSize(io.NewSectionReader(r, f.offset, max(0, end-f.offset)), 64<<10)
	for size := 0; len(lines) < batch && size < batchBytes; {
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
