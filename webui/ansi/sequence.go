package ansi

import (
	"strconv"
	"strings"
)

// escape takes in the sequence that s begins with and returns what follows it. Only SGR has an effect.
func (w *writer) escape(s string) string {
	if len(s) == 1 {
		return ""
	}
	switch s[1] {
	case '[':
		return w.control(s[2:])
	case ']', 'P', 'X', '^', '_': // OSC, DCS, SOS, PM, APC: to BEL or ST
		return afterString(s[2:])
	}
	// nF and two-byte sequences: intermediate bytes, then a final one.
	i := 1
	for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f {
		i++
	}
	if i < len(s) && s[i] >= 0x30 && s[i] <= 0x7e {
		i++
	}
	return s[i:]
}

func afterString(s string) string {
	for i := range len(s) {
		if s[i] == 0x07 {
			return s[i+1:]
		}
		if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
			return s[i+2:]
		}
	}
	return ""
}

// control takes in a control sequence after its introducer.
func (w *writer) control(s string) string {
	i := 0
	for i < len(s) && s[i] >= 0x20 && s[i] <= 0x3f {
		i++
	}
	if i == len(s) {
		return ""
	}
	if s[i] < 0x40 || s[i] > 0x7e {
		return s[i:] // broken off by something else
	}
	if s[i] == 'm' {
		w.style = w.style.after(s[:i])
	}
	return s[i+1:]
}

// maxCodes bounds how many codes of one sequence count.
const maxCodes = 32

// after returns the style that the codes of an SGR sequence lead to.
func (s Style) after(codes string) Style {
	fields := strings.FieldsFunc(codes, func(r rune) bool { return r == ';' || r == ':' })
	if len(fields) == 0 {
		return Style{}
	}
	numbers := make([]int, 0, maxCodes)
	for _, f := range fields[:min(len(fields), maxCodes)] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return s
		}
		numbers = append(numbers, n)
	}
	for len(numbers) > 0 {
		var used int
		s, used = s.one(numbers)
		numbers = numbers[used:]
	}
	return s
}

// one applies the first code and says how many numbers it took.
func (s Style) one(n []int) (Style, int) {
	switch c := n[0]; {
	case c == 0:
		return Style{}, 1
	case c == 1:
		s.Bold = true
	case c == 2:
		s.Dim = true
	case c == 3:
		s.Italic = true
	case c == 4:
		s.Underline = true
	case c == 7:
		s.Inverse = true
	case c == 22:
		s.Bold, s.Dim = false, false
	case c == 23:
		s.Italic = false
	case c == 24:
		s.Underline = false
	case c == 27:
		s.Inverse = false
	case c >= 30 && c <= 37:
		s.Foreground = int8(c - 30 + 1)
	case c >= 90 && c <= 97:
		s.Foreground = int8(c - 90 + 8 + 1)
	case c == 39:
		s.Foreground = 0
	case c >= 40 && c <= 47:
		s.Background = int8(c - 40 + 1)
	case c >= 100 && c <= 107:
		s.Background = int8(c - 100 + 8 + 1)
	case c == 49:
		s.Background = 0
	case c == 38 || c == 48:
		colour, used := extended(n[1:])
		if c == 38 {
			s.Foreground = colour
		} else {
			s.Background = colour
		}
		return s, used + 1
	}
	return s, 1
}

// extended reads 5;N or 2;R;G;B and returns the nearest of the sixteen colours, as a Style holds it.
func extended(n []int) (int8, int) {
	switch {
	case len(n) >= 2 && n[0] == 5:
		return indexed(n[1]), 2
	case len(n) >= 4 && n[0] == 2:
		return nearest(n[1], n[2], n[3]), 4
	}
	return 0, len(n)
}

// indexed is a colour of the 256: sixteen, a cube of 6×6×6, and a ramp of 24 greys.
func indexed(n int) int8 {
	switch {
	case n < 0 || n > 255:
		return 0
	case n < 16:
		return int8(n + 1)
	case n >= 232:
		grey := 8 + 10*(n-232)
		return nearest(grey, grey, grey)
	}
	n -= 16
	return nearest(n/36*51, n/6%6*51, n%6*51)
}

// nearest chooses by which channels are strong, and the bright half for strong ones.
func nearest(r, g, b int) int8 {
	high := max(r, g, b)
	if high < 64 {
		return 1
	}
	var colour int8
	for i, v := range []int{r, g, b} {
		if v*3 >= high*2 {
			colour |= 1 << i
		}
	}
	if colour == 7 { // a grey
		switch {
		case high < 150:
			return 8 + 1
		case high < 230:
			return 7 + 1
		}
		return 15 + 1
	}
	if high >= 200 && min(r, g, b) >= 64 {
		colour += 8
	}
	return colour + 1
}
