package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"slipway/deploy"
)

// diskFull makes a rejection of a fault that is for want of room, which is nobody's secret.
func diskFull(err error) (*deploy.Rejection, bool) {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return nil, false
	}
	r := deploy.Reject(deploy.CodeUnavailable, "the server's disk is full")
	return r.WithHint("This is not your revision's fault. Push again when there is room; an admin can make some."), true
}

// noSpace is what programs say when they cannot write; errno(3). Programs in Go begin it with a small letter.
const noSpace = "o space left on device"

// blameDisk makes a fault for want of room of an error that came for that or while the server's disk was full:
// of our own, however the program that could not write put it, and of a step that says so. Our own programs'
// words are enough, since what filled the disk may be gone by now.
func (p *Pipeline) blameDisk(err error) error {
	if err == nil || isCanceled(err) {
		return err
	}
	says := func(line string) bool { return strings.Contains(line, noSpace) }
	r, rejected := deploy.AsRejection(err)
	switch {
	case !rejected && says(err.Error()):
	case !p.Full(), rejected && !slices.ContainsFunc(r.Tail, says):
		return err
	}
	return fmt.Errorf("%w: %s", syscall.ENOSPC, err.Error())
}
