package gitserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"slipway/deploy"
	"slipway/gitserver/pktline"
	"slipway/gitserver/repo"
)

// procReceive is git's hook for ref updates that somebody else than git decides and carries out
// (githooks(5)). Its protocol, in pkt-lines:
//
//	git:  version=1\0push-options atomic   flush
//	we:   version=1\0push-options          flush   (the feature only if git named it)
//	git:  <old> <new> <ref> …              flush
//	git:  <push option> …                  flush   (if we named it)
//	we:   ok <ref>, with option lines, or ng <ref> <reason>, for each, in git's order   flush
//
// Git writes the options, or the flush alone, whenever the answer names them, asked or not. What is not
// read of it may find the hook gone, which git takes for a hook that failed: refs would have moved of
// which the pusher reads that they did not.
const procReceive = "proc-receive"

// Limits of what a pusher says beside the refs.
const (
	maxOptions     = 100
	maxOptionBytes = 16 << 10
)

// request is what git asks of the hook.
type request struct {
	atomic  bool
	updates []deploy.RefUpdate
	options []string
}

// readRequest holds git's half of the conversation up to the point where it waits for answers. The
// updates' names are not checked.
func readRequest(r io.Reader, w io.Writer, limit int) (request, error) {
	packets := pktline.NewReader(r)
	version, err := readList(packets, 10)
	if err != nil {
		return request{}, fmt.Errorf("reading version: %w", err)
	}
	if len(version) == 0 {
		return request{}, errors.New("reading version: none")
	}
	name, features, _ := strings.Cut(version[0], "\x00")
	if name != "version=1" {
		return request{}, fmt.Errorf("git speaks %.20q of proc-receive", name)
	}
	offered := strings.Fields(features)
	q := request{atomic: slices.Contains(offered, "atomic")}
	withOptions := slices.Contains(offered, "push-options")

	buffered := bufio.NewWriter(w)
	answer := pktline.NewWriter(buffered)
	ours := "version=1"
	if withOptions {
		ours += "\x00push-options"
	}
	if err := errors.Join(answer.String(ours), answer.Flush(), buffered.Flush()); err != nil {
		return request{}, fmt.Errorf("writing version: %w", err)
	}
	lines, err := readList(packets, limit)
	if err != nil {
		return request{}, fmt.Errorf("reading ref updates: %w", err)
	}
	for _, line := range lines {
		u, err := parseUpdate(line)
		if err != nil {
			return request{}, err
		}
		q.updates = append(q.updates, u)
	}
	if withOptions {
		if q.options, err = readList(packets, limit); err != nil {
			return request{}, fmt.Errorf("reading push options: %w", err)
		}
	}
	return q, nil
}

// readList reads packets up to a flush.
func readList(packets *pktline.Reader, limit int) ([]string, error) {
	var list []string
	for {
		kind, payload, err := packets.Next()
		switch {
		case err != nil:
			return nil, err
		case kind == pktline.Flush:
			return list, nil
		case kind != pktline.Data || len(list) == limit:
			return nil, pktline.ErrMalformed
		}
		list = append(list, pktline.Text(payload))
	}
}

func parseUpdate(line string) (deploy.RefUpdate, error) {
	before, rest, _ := strings.Cut(line, " ")
	after, ref, ok := strings.Cut(rest, " ")
	old, oldErr := deploy.ParseOID(before)
	now, newErr := deploy.ParseOID(after)
	if !ok || ref == "" || len(before) != len(after) || oldErr != nil || newErr != nil {
		return deploy.RefUpdate{}, fmt.Errorf("%.200q is no ref update", line)
	}
	return deploy.RefUpdate{Ref: deploy.RefName(ref), Old: old, New: now}, nil
}

// result is the answer to one update.
type result struct {
	update  deploy.RefUpdate
	refused *deploy.Rejection // why not; nil for ok
	// recorded is whether somebody else records that it is refused: the gate, or another one whose fate it shares.
	recorded bool
	// was is what the ref really was, if the pusher did not know; forced tells whether it was lost.
	was    deploy.OID
	forced bool
}

// writeResults writes the answers, in the order of the updates.
func writeResults(w io.Writer, results []result) error {
	buffered := bufio.NewWriter(w)
	packets := pktline.NewWriter(buffered)
	for _, r := range results {
		if r.refused != nil {
			if err := packets.String("ng " + string(r.update.Ref) + " " + repo.Printable(lineOf(r.refused), 300)); err != nil {
				return fmt.Errorf("writing answers: %w", err)
			}
			continue
		}
		lines := []string{"ok " + string(r.update.Ref)}
		if r.was != "" {
			lines = append(lines, "option old-oid "+string(r.was), "option new-oid "+string(r.update.New))
			if r.forced {
				lines = append(lines, "option forced-update")
			}
		}
		for _, line := range lines {
			if err := packets.String(line); err != nil {
				return fmt.Errorf("writing answers: %w", err)
			}
		}
	}
	if err := errors.Join(packets.Flush(), buffered.Flush()); err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	return nil
}
