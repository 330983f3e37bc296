package audit

import (
	"fmt"
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
