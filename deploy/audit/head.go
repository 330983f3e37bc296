package audit

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Head is where the log ends. Kept elsewhere, it proves later that nothing up to it was changed.
type Head struct {
	Sequence uint64 // of the last event; zero if there is none
	Hash     string // SHA-256 of its line
}

// String returns the head as one word, such as 17:9f86d0….
func (h Head) String() string { return strconv.FormatUint(h.Sequence, 10) + ":" + h.Hash }

// ParseHead reads what [Head.String] wrote.
func ParseHead(s string) (Head, error) {
	sequence, hash, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(sequence, 10, 64)
	if err != nil || !isHash(hash) {
		return Head{}, fmt.Errorf("%.90q is not a head of the audit log: it looks like 17:9f86d0… (a number and 64 hexadecimal digits)", s)
	}
	return Head{Sequence: n, Hash: hash}, nil
}

// ReadHead tells where the log in dir ends. It needs no lock; a last line that is being written does not
// count.
func ReadHead(dir string) (Head, error) {
	names, err := fileNames(dir)
	if err != nil {
		return Head{}, err
	}
	for i := len(names) - 1; i >= 0; i-- {
		_, head, err := extentOf(filepath.Join(dir, names[i]), noEnd)
		if err != nil {
			return Head{}, fmt.Errorf("%s: %w", names[i], err)
		}
		if head.Sequence != 0 {
			return head, nil
		}
	}
	return Head{}, nil
}

// FindHeads returns the heads that stand in a text as words of their own: in what a push printed, say.
func FindHeads(text string) []Head {
	var all []Head
	for _, word := range strings.Fields(text) {
		if h, err := ParseHead(word); err == nil {
			all = append(all, h)
		}
	}
	return all
}
