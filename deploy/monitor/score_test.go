package monitor

import (
	"testing"
)

func TestScore(t *testing.T) {
	for _, c := range []struct {
		name    string
		allowed float64
		steps   [][2]int64 // failures, successes
		rejects bool
		passes  bool
	}{
		{"three in a row", 0.01, [][2]int64{{3, 0}}, true, false},
		{"two in a row", 0.01, [][2]int64{{2, 0}}, false, false},
		{"55 good", 0.01, [][2]int64{{0, 55}}, false, false},
		{"56 good", 0.01, [][2]int64{{0, 56}}, false, true},
		{"one of 100", 0.01, [][2]int64{{1, 99}}, false, true},
		{"five of 100", 0.01, [][2]int64{{5, 95}}, false, false},
		{"ten of 100", 0.01, [][2]int64{{10, 90}}, true, false},
		{"after a pass", 0.01, [][2]int64{{0, 100000}, {5, 0}}, true, false},
		{"none allowed", 0, [][2]int64{{0, 1000}, {1, 1000}}, true, false},
		{"none allowed, none seen", 0, [][2]int64{{0, 1000}}, false, true},
		{"all allowed", 1, [][2]int64{{1000, 0}}, false, true},
		{"half allowed", 0.5, [][2]int64{{50, 50}}, false, true},
		{"half allowed, all bad", 0.5, [][2]int64{{12, 0}}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScore(c.allowed)
			for _, step := range c.steps {
				s.add(step[0], step[1])
			}
			if s.rejects() != c.rejects || s.passes() != c.passes {
				t.Errorf("rejects = %v, passes = %v at %.2f, want %v, %v", s.rejects(), s.passes(), s.sum, c.rejects, c.passes)
			}
		})
	}
}

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{0: "0%", 0.01: "1%", 0.025: "2.5%", 7.0 / 9: "78%", 1: "100%", 0.0004: "0.04%", 0.005: "0.5%", 0.07: "7%"} {
		if got := percent(share); got != want {
			t.Errorf("percent(%v) = %q, want %q", share, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b[1;31mred\x1b[0m":                     "red",
		"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\": "link",
		"bell\x07 and \xff":                        "bell and ?",
		"tab\tstays  ":                             "tab\tstays",
		"cut \x1b":                                 "cut",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}
