package monitor

import (
	"fmt"
	"math"
	"strconv"
)

// score judges a share of failures from few requests: Wald's sequential probability ratio test of "the
// allowed share fails" against "five times as many fail", with a 1 % risk to reject what is healthy
// and 10 % to miss what is broken. With 1 % allowed, three failures in a row reject, and 56 requests
// without one pass; between the two there is not enough data.
//
// The test would end at either bound, but a watch goes on after a pass. So the sum stays at the lower
// bound, and what fails later is found as soon as if it had been good for a minute only.
type score struct {
	allowed  float64
	up, down float64 // what a failure adds and a success takes
	sum      float64
	passed   bool

	failures, total         int64 // all
	lateFailures, lateTotal int64 // since the sum was at the lower bound last
}

// The bounds are ln((1−β)/α) and ln(β/(1−α)) with α = 1 % and β = 10 %.
var (
	upperBound = math.Log(0.90 / 0.01)
	lowerBound = math.Log(0.10 / 0.99)
)

// newScore makes a score for an allowed share from 0, with which one failure rejects, to 1, with which
// nothing does.
func newScore(allowed float64) *score {
	s := &score{allowed: allowed}
	broken := min(5*allowed, allowed+(1-allowed)/2)
	switch {
	case allowed <= 0:
		s.up, s.down = math.Inf(1), -math.Log(1-0.05)
	case allowed < 1:
		s.up, s.down = math.Log(broken/allowed), -math.Log((1-broken)/(1-allowed))
	}
	return s
}

// add takes in requests whose order is not known.
func (s *score) add(failures, successes int64) {
	s.failures += failures
	s.total += failures + successes
	s.lateFailures += failures
	s.lateTotal += failures + successes
	s.sum -= float64(successes) * s.down
	if failures > 0 {
		s.sum += float64(failures) * s.up
	}
	if s.sum <= lowerBound {
		s.sum, s.passed = lowerBound, true
		s.lateFailures, s.lateTotal = 0, 0
	}
}

func (s *score) rejects() bool { return s.sum >= upperBound }

func (s *score) passes() bool { return s.passed && !s.rejects() || s.allowed >= 1 && s.total > 0 }

// share tells the numbers: 3 of 120 requests failed (2.5%).
func (s *score) share(what string) string {
	return fmt.Sprintf("%d of %d %s (%s)", s.failures, s.total, what, percent(float64(s.failures)/float64(max(s.total, 1))))
}

// blame tells the numbers that reject, and what was allowed.
func (s *score) blame(what string) string {
	n, of, last := s.failures, s.total, ""
	if float64(n) <= s.allowed*float64(of) {
		n, of, last = s.lateFailures, s.lateTotal, "the last "
	}
	return fmt.Sprintf("%d of %s%d %s (%s), at most %s allowed", n, last, of, what, percent(float64(n)/float64(max(of, 1))), percent(s.allowed))
}

// percent writes a share with as many digits as matter.
func percent(share float64) string {
	p := 100 * share
	if p >= 10 || p == math.Trunc(p) {
		return strconv.FormatFloat(math.Round(p), 'f', -1, 64) + "%"
	}
	return strconv.FormatFloat(p, 'g', 2, 64) + "%"
}
