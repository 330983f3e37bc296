package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Part is the beginning of one of the log's files.
type Part struct {
	Name string
	Size int64 // bytes that count
}

// Extent tells how much of each file of the log in dir holds the events up to the given sequence, and the
// head of the log that ends there. What is before that never changes, so it can be copied while others
// append. It needs no lock.
func Extent(dir string, last uint64) ([]Part, Head, error) {
	names, err := fileNames(dir)
	if err != nil {
		return nil, Head{}, err
	}
	var parts []Part
	var head Head
	for _, name := range names {
		size, h, err := extentOf(filepath.Join(dir, name), last)
		if err != nil {
			return nil, Head{}, fmt.Errorf("%s: %w", name, err)
		}
		if size == 0 {
			break
		}
		parts, head = append(parts, Part{Name: name, Size: size}), h
	}
	if head.Sequence != last {
		return nil, Head{}, fmt.Errorf("the audit log ends with event %d, and event %d was asked for", head.Sequence, last)
	}
	return parts, head, nil
}

// extentOf measures one file.
func extentOf(path string, last uint64) (int64, Head, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, Head{}, fmt.Errorf("reading the audit log: %w", err)
	}
	defer f.Close()
	var size int64
	var head Head
	for lines := newLineReader(f); ; {
		raw, err := lines.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errCut) {
			return size, head, nil
		}
		if err != nil {
			return 0, Head{}, err
		}
		line, err := ParseLine(raw)
		if err != nil {
			return 0, Head{}, err
		}
		if line.Event.Sequence > last {
			return size, head, nil
		}
		size += int64(len(raw))
		head = Head{Sequence: line.Event.Sequence, Hash: hashOf(raw)}
	}
}
