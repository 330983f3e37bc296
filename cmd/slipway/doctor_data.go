package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"slipway/deploy/audit"
	"slipway/deploy/store"
)

// What the doctor looks at of the data directory.

// dataDirectory tells whether sandboxed processes, which have another user id, get to their trees.
func (p *patient) dataDirectory(context.Context) []finding {
	l := p.config.layout
	if err := p.sandbox.Reachable(l.App("any"), 1); err != nil {
		return []finding{ill("data directory", err.Error(), "")}
	}
	for _, dir := range []string{l.Repos(), l.Audit(), l.Router(), l.Hooks()} {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the server makes it
		}
		if err != nil {
			return []finding{ill("data directory", err.Error(), "")}
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return []finding{ill("data directory", fmt.Sprintf("others can get into %s (mode %04o)", dir, mode), "chmod 700 "+dir)}
		}
	}
	return []finding{well("data directory", "%s, and sandboxes reach what is theirs", l)}
}

// Below these a push may not fit, or surely does not.
const (
	fewBytes  = 1 << 30
	noBytes   = 100 << 20
	fewInodes = 50_000
	noInodes  = 2_000
)

func (p *patient) disk(context.Context) []finding {
	var s unix.Statfs_t
	if err := unix.Statfs(string(p.config.layout), &s); err != nil {
		return []finding{ill("disk", err.Error(), "")}
	}
	free := int64(s.Bavail) * s.Bsize
	says := fmt.Sprintf("%d MiB free", free>>20)
	if s.Files > 0 {
		says += fmt.Sprintf(", room for %d files", s.Ffree)
	}
	const mend = "make room: cache/ of apps that nothing builds, old deployments/, fewer keep_releases; or a larger disk"
	switch {
	case free < noBytes || s.Files > 0 && s.Ffree < noInodes:
		return []finding{ill("disk", says, mend)}
	case free < fewBytes || s.Files > 0 && s.Ffree < fewInodes:
		return []finding{warning("disk", says, mend)}
	}
	return []finding{well("disk", "%s", says)}
}

// keys looks whether the keys are there, and only the server's.
func (p *patient) keys(context.Context) []finding {
	l := p.config.layout
	found := []finding{keyAt("host key", l.HostKey(), "there is none; the next start makes one, and everybody's ssh warns of it")}
	if sealed, _ := filepath.Glob(l.Env("*")); len(sealed) > 0 {
		found = append(found, keyAt("secret key", l.SecretKey(), "there is none: apps' variables cannot be read, and apps that have any do not start"))
	}
	return found
}

func keyAt(what, path, missing string) finding {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ill(what, missing, "put your copy of it at "+path)
	case err != nil:
		return ill(what, err.Error(), "")
	case info.Mode().Perm()&0o077 != 0:
		return ill(what, fmt.Sprintf("others can get at it (mode %04o)", info.Mode().Perm()), "chmod 600 "+path)
	}
	return well(what, "%s", filepath.Base(path))
}

// auditLog walks the chain.
func (p *patient) auditLog(ctx context.Context) []finding {
	dir := p.config.layout.Audit()
	var known []audit.Head
	if p.head != nil {
		known = append(known, p.head())
	}
	report, err := audit.Verify(ctx, dir, known...)
	if err == nil && !report.OK() && p.head != nil {
		report, err = audit.Verify(ctx, dir, known...) // a line was just being written
	}
	const mend = "nobody but the server writes there: compare with a backup (slipway help restore)"
	if err != nil {
		return []finding{ill("audit log", err.Error(), mend)}
	}
	var all []finding
	for _, f := range report.Findings {
		if torn := f.Kind == audit.KindCut && f.Line > 0; torn && p.head == nil {
			all = append(all, warning("audit log", f.String(), ""))
			continue
		}
		if len(all) == 5 {
			all = append(all, ill("audit log", fmt.Sprintf("and %d findings more", len(report.Findings)-len(all)), ""))
			break
		}
		all = append(all, ill("audit log", f.String(), mend))
	}
	if len(all) == 0 {
		all = append(all, well("audit log", "%d events in %d files, the chain is whole", report.Events, report.Files))
	}
	return all
}

// database compares the database with the log that it is derived from.
func (p *patient) database(ctx context.Context) []finding {
	path := p.config.layout.Database()
	const anew = "the next start makes it anew from the audit log"
	at, id, err := store.Peek(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return []finding{warning("database", "there is none", anew)}
	}
	if err != nil {
		return []finding{warning("database", err.Error(), anew)}
	}
	if at == 0 {
		return []finding{well("database", "empty")}
	}
	last := uint64(0)
	for line, err := range audit.Lines(p.config.layout.Audit(), at) {
		if err != nil {
			return []finding{ill("database", "it cannot be compared with the audit log: "+err.Error(), "")}
		}
		if last == 0 && line.Event.ID != id {
			return []finding{ill("database", fmt.Sprintf("it is of another log: event %d is not the one it had", at), "remove "+path+": "+anew)}
		}
		last = line.Event.Sequence
	}
	switch {
	case last == 0:
		return []finding{ill("database", fmt.Sprintf("it has had event %d, which the audit log does not hold", at),
			"lines of the log are gone: restore audit/ from a backup; if the log is right, remove "+path+": "+anew)}
	case last > at && p.pid != 0:
		return []finding{warning("database", fmt.Sprintf("%d events behind the audit log", last-at), "the server tries again every 2 s and logs why it fails")}
	case last > at:
		return []finding{well("database", "%d events behind the audit log; the next start catches up", last-at)}
	}
	return []finding{well("database", "in step with the audit log, at event %d", at)}
}
