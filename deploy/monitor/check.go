package monitor

import (
	"fmt"
	"regexp"

	"slipway/deploy"
)

// check answers one question from the looks that it took, in order. A finding that failed stays.
type check interface {
	name() string
	take(*look)
	finding() finding
}

// reader is a check that compares a number with a limit. It tells false while it knows none.
type reader interface {
	reading() (deploy.Reading, bool)
}

// finding is a check's answer so far.
type finding struct {
	outcome deploy.Outcome // pass, fail, or not enough data
	detail  string         // the numbers
	reason  string         // one line, if it failed
	weight  int            // of several that failed the heaviest is told
	open    bool           // one more look may change the answer, even after the bake time
}

// The weights: what ends a process explains why nobody answers, and users matter more than probes.
const (
	weightProbe = iota
	weightCPU
	weightMemory
	weightIdentity
	weightErrors
	weightLog
	weightRestarts
)

// newChecks makes the checks that fit a subject, in the order in which they are shown.
func newChecks(s Subject) ([]check, error) {
	plan := s.Manifest.Monitor
	if s.Manifest.External() {
		return []check{newProbeCheck(plan), &revisionCheck{}}, nil
	}
	pattern, err := compile(plan.ErrorPattern)
	if err != nil {
		return nil, err
	}
	return []check{
		newProbeCheck(plan),
		&errorsCheck{score: newScore(plan.MaxErrorRate)},
		&restartsCheck{allowed: plan.MaxRestarts},
		&memoryCheck{allowed: plan.MaxMemory},
		&cpuCheck{allowed: plan.MaxCPU},
		&logCheck{pattern: pattern},
		&identityCheck{release: s.Candidate.Release},
	}, nil
}

func compile(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("the error pattern: %w", err)
	}
	return re, nil
}

// sticky keeps the first failure of a check.
type sticky struct{ failed *finding }

func (s *sticky) fail(f finding) {
	if s.failed == nil {
		f.outcome = deploy.OutcomeFail
		s.failed = &f
	}
}

// noData is the answer of a check that has seen nothing yet.
func noData(detail string) finding {
	return finding{outcome: deploy.OutcomeNoData, detail: detail}
}

func pass(detail string) finding {
	return finding{outcome: deploy.OutcomePass, detail: detail}
}
