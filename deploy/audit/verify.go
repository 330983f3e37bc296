package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says what is wrong with a line or a file.
type Kind string

// The kinds of findings.
const (
	KindUnreadable Kind = "unreadable" // the line is no event
	KindEdited     Kind = "edited"     // the line is not the one that the next was written after
	KindRemoved    Kind = "removed"    // lines that stood before this one are gone
	KindReordered  Kind = "reordered"  // the line stands in another place than it was written in
	KindCut        Kind = "cut"        // the log ends before it should, or in the middle of a line
	KindFile       Kind = "file"       // a file is missing, foreign, or not as the next one says
	KindLog        Kind = "log"        // a deployment's file is not the one whose size and SHA-256 the line holds
)

// Finding is a place where the log is not as it was written.
type Finding struct {
	Kind   Kind
	File   string // empty for the whole log
	Line   int    // from 1; zero for the whole file
	Detail string
}

// String returns the finding as one line for people.
func (f Finding) String() string {
	where := f.File
	switch {
	case f.File == "":
		where = "the log"
	case f.Line > 0:
		where = fmt.Sprintf("%s: line %d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s: %s", where, f.Kind, f.Detail)
}

// maxFindings bounds a report on a log that is another one altogether.
const maxFindings = 1000

// Report is what [Verify] saw.
type Report struct {
	Files    int
	Events   uint64
	Head     Head // of the log as it is
	Logs     int  // files of deployments that were compared, by [VerifyAll]
	Gone     int  // those of which only size and hash are left, as they are pruned in time
	Findings []Finding
	More     bool // there were more findings than a report holds
}

// OK tells whether nothing was found.
func (r Report) OK() bool { return len(r.Findings) == 0 }

// Verify reads the whole log in dir, in bounded memory, and compares it with its chain and with heads
// that the caller has kept from earlier: without one, nothing shows that lines are missing at the very
// end, or that the last line was edited. It needs no lock. An error says that the files could not be
// read; what is wrong in them is in the report.
func Verify(ctx context.Context, dir string, known ...Head) (Report, error) {
	return (&verifier{ctx: ctx, dir: dir, known: known}).verify()
}

func (v *verifier) verify() (Report, error) {
	v.hash, v.missing = noHash, map[uint64]Finding{}
	v.known = slices.Clone(v.known) // the caller's stay
	names, err := fileNames(v.dir)
	if err != nil {
		return Report{}, err
	}
	if err := v.strangers(); err != nil {
		return Report{}, err
	}
	for i, name := range names {
		v.newest = i == len(names)-1
		if err := v.file(name); err != nil {
			return Report{}, err
		}
	}
	v.finish()
	return v.report, nil
}

// verifier walks the chain. The line it expects next has sequence last+1 and hash as its prev.
type verifier struct {
	ctx     context.Context
	dir     string
	known   []Head
	report  Report
	newest  bool // the present file is the newest
	last    uint64
	hash    string
	at      Finding            // the place of the line read last
	clean   bool               // nothing was found in the present file
	before  *File              // the file before, as it is
	trusted bool               // nothing was found in it
	missing map[uint64]Finding // sequences not seen where they belong, and where that was noticed
	left    *left              // what deployments left behind; nil if that is not looked at
}

func (v *verifier) find(place Finding, kind Kind, format string, args ...any) {
	v.clean = false
	if len(v.report.Findings) >= maxFindings {
		v.report.More = true
		return
	}
	place.Kind, place.Detail = kind, fmt.Sprintf(format, args...)
	v.report.Findings = append(v.report.Findings, place)
}

// strangers finds files that look like the log's own but are not named so.
func (v *verifier) strangers() error {
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		return fmt.Errorf("verifying the audit log: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, fileSuffix) && !isFileName(name) {
			v.find(Finding{File: name}, KindFile, "this file is not part of the log")
		}
	}
	return nil
}

func (v *verifier) file(name string) error {
	f, err := os.Open(filepath.Join(v.dir, name))
	if err != nil {
		return fmt.Errorf("verifying the audit log: %w", err)
	}
	defer f.Close()
	v.clean = true
	t := tail{name: name, sum: sha256.New()}
	lines := newLineReader(f)
	for number := 1; ; number++ {
		if err := v.ctx.Err(); err != nil {
			return fmt.Errorf("verifying the audit log: %w", err)
		}
		raw, err := lines.next()
		place := Finding{File: name, Line: number}
		switch {
		case errors.Is(err, io.EOF):
			v.endFile(t)
			return nil
		case errors.Is(err, errCut):
			v.cut(place)
		case errors.Is(err, errLong):
			v.unreadable(place, err, "")
		case err != nil:
			return fmt.Errorf("verifying %s: %w", name, err)
		default:
			v.line(place, raw)
			t.add(raw)
		}
	}
}

func (v *verifier) cut(place Finding) {
	if v.newest {
		v.find(place, KindCut, "the line is cut short; the server repairs that when it starts")
		return
	}
	v.unreadable(place, errCut, "")
}

// unreadable takes the line for the one that was expected, whose neighbours then need no finding.
func (v *verifier) unreadable(place Finding, err error, hash string) {
	v.find(place, KindUnreadable, "%v", err)
	v.last, v.hash, v.at = v.last+1, hash, place
}

func (v *verifier) line(place Finding, raw []byte) {
	hash := hashOf(raw)
	line, err := ParseLine(raw)
	if err != nil {
		v.unreadable(place, err, "")
		return
	}
	v.report.Events++
	sequence := v.follow(place, line.Event.Sequence, line.Prev)
	v.firstLine(place, line.After)
	v.compare(place, sequence, hash)
	v.leftBy(place, line.Event)
	if sequence > v.last { // else it stands too late, and the next one follows another
		v.last, v.hash, v.at = sequence, hash, place
		v.report.Head = Head{Sequence: sequence, Hash: hash}
	}
}

// follow checks that a line stands where it was written, and returns the sequence it was written with.
func (v *verifier) follow(place Finding, sequence uint64, prev string) uint64 {
	want := v.last + 1
	if sequence == want {
		if v.hash != "" && prev != v.hash {
			v.edited(place)
		}
		return sequence
	}
	if prev == v.hash {
		v.find(place, KindEdited, "it says that it is event %d and was written as event %d", sequence, want)
		return want
	}
	if sequence > want {
		v.gap(place, want, sequence)
		return sequence
	}
	again := ""
	if _, was := v.missing[sequence]; !was {
		again = " again"
	}
	delete(v.missing, sequence)
	v.find(place, KindReordered, "event %d stands here%s, after event %d", sequence, again, v.last)
	return sequence
}

func (v *verifier) edited(place Finding) {
	if v.at.File == "" {
		v.find(place, KindRemoved, "the log does not begin here: lines before this one are gone")
		return
	}
	v.find(v.at, KindEdited, "its bytes are not those that event %d (%s: line %d) was written after", v.last+1, place.File, place.Line)
}

// gap remembers a few missing events, in case they stand elsewhere.
func (v *verifier) gap(place Finding, want, sequence uint64) {
	if sequence-want > maxFindings || len(v.missing) > maxFindings {
		v.removed(place, want, sequence-1)
		return
	}
	for n := want; n < sequence; n++ {
		v.missing[n] = place
	}
	v.clean = false
}

func (v *verifier) removed(place Finding, from, to uint64) {
	if from == to {
		v.find(place, KindRemoved, "event %d, which stood before this line, is gone", from)
		return
	}
	v.find(place, KindRemoved, "events %d to %d, which stood before this line, are gone", from, to)
}

// firstLine checks what a file's first line says of the file before.
func (v *verifier) firstLine(place Finding, after *File) {
	switch {
	case place.Line != 1 || v.before == nil:
		if after != nil && v.at.File != "" {
			v.find(place, KindFile, "this line began a file after %s", after.Name)
		}
	case after == nil:
		v.find(place, KindFile, "the file does not say that it follows %s", v.before.Name)
	case after.Name != v.before.Name:
		v.find(place, KindFile, "the file was written after %s, which does not stand before it", after.Name)
	case *after != *v.before && v.trusted && v.clean:
		v.find(Finding{File: v.before.Name}, KindFile, "the file has %d lines and SHA-256 %s; %s was written after %d and %s",
			v.before.Count, v.before.SHA256, place.File, after.Count, after.SHA256)
	}
}

// compare checks a line against the heads that the caller knows.
func (v *verifier) compare(place Finding, sequence uint64, hash string) {
	v.known = slices.DeleteFunc(v.known, func(h Head) bool {
		if h.Sequence != sequence {
			return false
		}
		if h.Hash != hash {
			v.find(place, KindEdited, "event %d was known by the hash %s", sequence, h.Hash)
		}
		return true
	})
}

func (v *verifier) endFile(t tail) {
	v.report.Files++
	if t.count > 0 {
		v.before, v.trusted = t.file(), v.clean
	}
}

// finish says what is missing in the end, and orders the findings by place.
func (v *verifier) finish() {
	gone := make([]uint64, 0, len(v.missing))
	for sequence := range v.missing {
		gone = append(gone, sequence)
	}
	slices.Sort(gone)
	for len(gone) > 0 {
		n := 1
		for n < len(gone) && gone[n] == gone[0]+uint64(n) && v.missing[gone[n]] == v.missing[gone[0]] {
			n++
		}
		v.removed(v.missing[gone[0]], gone[0], gone[n-1])
		gone = gone[n:]
	}
	for _, h := range v.known {
		if h.Sequence > v.last {
			v.find(v.at, KindCut, "the log ends with event %d, and event %d was known", v.last, h.Sequence)
		}
	}
	v.compareAllLeft()
	slices.SortStableFunc(v.report.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}
