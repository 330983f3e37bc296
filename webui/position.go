package webui

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"slipway/webui/ansi"
)

// position is what a reader of a live page has: how far in each log, and which state of each part. It is
// what an event's id says, and what a page that was just loaded begins with:
//
//	build=1234:57:0;test.unit=0:1:0;~head=1f3a9c2e
type position struct {
	logs  []place
	parts []part
}

// place is how far a log was read.
type place struct {
	log string
	follower
}

// part is a part of a page, and a hash of what was sent of it.
type part struct{ name, sum string }

// The bounds of a position that a browser sends.
const (
	maxPosition = 16 << 10 // bytes
	maxPlaces   = 200
)

// String writes it as an id of events: without spaces and line ends.
func (p position) String() string {
	var b strings.Builder
	for _, l := range p.logs {
		fmt.Fprintf(&b, "%s=%d:%d:%d;", l.log, l.offset, l.next, styleNumber(l.style))
	}
	for _, q := range p.parts {
		fmt.Fprintf(&b, "~%s=%s;", q.name, q.sum)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// readPosition reads what [position.String] wrote. What cannot be read is left out: of that the reader gets
// everything again, and sees it twice at worst.
func readPosition(s string) position {
	var p position
	if len(s) > maxPosition {
		return p
	}
	for field := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(field, "=")
		if !ok || len(p.logs)+len(p.parts) >= maxPlaces {
			continue
		}
		if name, isPart := strings.CutPrefix(name, "~"); isPart {
			p.sent(name, value)
			continue
		}
		numbers := strings.Split(value, ":")
		if len(numbers) != 3 {
			continue
		}
		offset, err1 := strconv.ParseInt(numbers[0], 10, 64)
		next, err2 := strconv.Atoi(numbers[1])
		style, err3 := strconv.ParseUint(numbers[2], 10, 16)
		if err1 == nil && err2 == nil && err3 == nil && offset >= 0 && next >= 1 {
			p.logs = append(p.logs, place{name, follower{offset, next, numberedStyle(uint16(style))}})
		}
	}
	return p
}

// place returns how far a log was read, nil for one that the reader does not know of.
func (p *position) place(log string) *place {
	for i := range p.logs {
		if p.logs[i].log == log {
			return &p.logs[i]
		}
	}
	return nil
}

// sent notes what was sent of a part, and tells whether it is new.
func (p *position) sent(name, sum string) bool {
	i := slices.IndexFunc(p.parts, func(q part) bool { return q.name == name })
	if i < 0 {
		p.parts = append(p.parts, part{name, sum})
		return true
	}
	fresh := p.parts[i].sum != sum
	p.parts[i].sum = sum
	return fresh
}

// sumOf is a short hash of a part.
func sumOf(s string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return strconv.FormatUint(h.Sum64(), 36)
}

// styleNumber packs a style: five bits for each colour, one for each attribute.
func styleNumber(s ansi.Style) uint16 {
	n := uint16(s.Foreground)&31 | uint16(s.Background)&31<<5
	for i, on := range []bool{s.Bold, s.Dim, s.Italic, s.Underline, s.Inverse} {
		if on {
			n |= 1 << (10 + i)
		}
	}
	return n
}

func numberedStyle(n uint16) ansi.Style {
	on := func(i int) bool { return n&(1<<(10+i)) != 0 }
	return ansi.Style{
		Foreground: int8(min(n&31, 16)), Background: int8(min(n>>5&31, 16)),
		Bold: on(0), Dim: on(1), Italic: on(2), Underline: on(3), Inverse: on(4),
	}
}
