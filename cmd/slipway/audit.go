package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/sockets"
	"slipway/deploy/store"
)

// auditCommand reads the audit log's files itself, whether a server runs or not: what is asked is whether
// to believe the server. A server that runs is told what was found, and rebuilds its database itself.
func auditCommand(ctx context.Context, data string, args []string, std stdio) error {
	if len(args) == 0 {
		return newFlags("audit").misused("say what to do with it")
	}
	dir, err := dataDir(data)
	if err != nil {
		return err
	}
	l := deploy.Layout(dir)
	if _, err := os.Stat(l.Audit()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no data directory: it has no audit log; say where it is with -data DIR", dir)
	}
	switch args[0] {
	case "head":
		return auditHead(l, args[1:], std)
	case "verify":
		return auditVerify(ctx, l, args[1:], std)
	case "export":
		return auditExport(ctx, l, args[1:], std)
	case "rebuild":
		return auditRebuild(ctx, l, args[1:], std)
	}
	return newFlags("audit").misused(fmt.Sprintf("there is no audit %q", args[0]))
}

func auditHead(l deploy.Layout, args []string, std stdio) error {
	if _, err := newFlags("audit head").parse(args, 0, 0); err != nil {
		return err
	}
	head, err := audit.ReadHead(l.Audit())
	if err != nil {
		return err
	}
	fmt.Fprintln(std.out, head)
	return nil
}

// auditVerify verifies in this process and has the server, if one runs, record what was found.
func auditVerify(ctx context.Context, l deploy.Layout, args []string, std stdio) error {
	known, err := knownHeads(args, true, std.in)
	if err != nil {
		return err
	}
	told, running := serverHead(ctx, l)
	if running {
		known = append(known, told)
	}
	report, err := verifyAll(ctx, l, known)
	if err != nil {
		return err
	}
	if running {
		if err := reportTo(ctx, l, report, len(known)); err != nil {
			fmt.Fprintf(std.err, "slipway: the server could not record this verification: %v\n", err)
		}
	}
	return tellReport(report, std)
}

// knownHeads reads the flags of audit verify. The caller's files are here, or somewhere else.
func knownHeads(args []string, here bool, in io.Reader) ([]audit.Head, error) {
	f := newFlags("audit verify")
	head, file := f.String("head", "", ""), f.String("head-file", "", "")
	if _, err := f.parse(args, 0, 0); err != nil {
		return nil, err
	}
	var known []audit.Head
	if *head != "" {
		h, err := audit.ParseHead(*head)
		if err != nil {
			return nil, usageError(err.Error())
		}
		known = append(known, h)
	}
	if *file == "" {
		return known, nil
	}
	if *file != "-" && !here {
		return nil, usageError("your files are not here: give the heads by standard input, with -head-file -")
	}
	text, err := readAll(*file, in)
	if err != nil {
		return nil, fmt.Errorf("reading the known heads: %w", err)
	}
	found := audit.FindHeads(text)
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no head of an audit log: it looks like 17:9f86d0… (a number and 64 hexadecimal digits)", *file)
	}
	return append(known, found...), nil
}

// maxHeads is how much of a file with known heads is read, in bytes.
const maxHeads = 16 << 20

// readAll reads a file; "-" is what comes in.
func readAll(name string, in io.Reader) (string, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxHeads))
	return string(b), err
}

// verifyAll verifies, and verifies again if something was found: a line may just have been written.
func verifyAll(ctx context.Context, l deploy.Layout, known []audit.Head) (audit.Report, error) {
	report, err := audit.VerifyAll(ctx, l, known...)
	if err == nil && !report.OK() {
		report, err = audit.VerifyAll(ctx, l, known...)
	}
	return report, err
}

// tellReport prints what was found, a finding a line. Any is exit status 1.
func tellReport(r audit.Report, std stdio) error {
	for _, f := range r.Findings {
		fmt.Fprintln(std.out, f)
	}
	if r.More {
		fmt.Fprintln(std.out, "and more")
	}
	what := fmt.Sprintf("%d events in %d files, %d logs of deployments", r.Events, r.Files, r.Logs)
	if r.Gone > 0 {
		what += fmt.Sprintf(" (%d are gone)", r.Gone)
	}
	if r.OK() {
		fmt.Fprintf(std.out, "the chain is whole: %s\nhead %s\n", what, r.Head)
		return nil
	}
	fmt.Fprintf(std.err, "slipway: the audit log is not as it was written: %d findings in %s\n", len(r.Findings), what)
	return exitStatus(exitFailed)
}

// maxTold is how many findings a verification's event holds.
const maxTold = 10

func verifiedEvent(r audit.Report, known int) deploy.Event {
	data := deploy.VerifiedData{
		Head: r.Head.String(), Files: r.Files, Events: r.Events, Logs: r.Logs, Known: known, Count: len(r.Findings),
	}
	for _, f := range r.Findings[:min(maxTold, len(r.Findings))] {
		data.Findings = append(data.Findings, f.String())
	}
	e := deploy.Event{Type: deploy.EventAuditVerified, Outcome: deploy.OutcomePass}
	if !r.OK() {
		e.Outcome, e.Reason = deploy.OutcomeFail, "the audit log is not as it was written"
	}
	return e.WithData(data)
}

// serverHead asks a running server where its log ends, which it knows without the files.
func serverHead(ctx context.Context, l deploy.Layout) (audit.Head, bool) {
	conn, err := sockets.Dial(ctx, l.Socket())
	if err != nil {
		return audit.Head{}, false
	}
	conn.Close()
	var out bytes.Buffer
	if err := remoteCommand(ctx, string(l), []string{"audit", "head"}, stdio{nil, &out, io.Discard}); err != nil {
		return audit.Head{}, false
	}
	heads := audit.FindHeads(out.String())
	if len(heads) != 1 {
		return audit.Head{}, false
	}
	return heads[0], true
}

// reportTo has the running server record a verification.
func reportTo(ctx context.Context, l deploy.Layout, r audit.Report, known int) error {
	b, err := json.Marshal(verifiedEvent(r, known))
	if err != nil {
		return err
	}
	var said bytes.Buffer
	err = remoteCommand(ctx, string(l), []string{"audit", "verified", string(b)}, stdio{nil, io.Discard, &said})
	if err != nil && said.Len() > 0 {
		return errors.New(said.String())
	}
	return err
}

// export is the flags of audit export.
type export struct {
	since  string
	cloud  bool
	layout deploy.Layout
}

func auditExport(ctx context.Context, l deploy.Layout, args []string, std stdio) error {
	f := newFlags("audit export")
	since, format := f.String("since", "1", ""), f.String("format", "jsonl", "")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	if *format != "jsonl" && *format != "cloudevents" {
		return usageError(fmt.Sprintf("-format %.40q: it is jsonl or cloudevents", *format))
	}
	return export{since: *since, cloud: *format == "cloudevents", layout: l}.write(ctx, std.out)
}

func (e export) write(ctx context.Context, to io.Writer) error {
	from, err := e.from()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(to)
	if e.cloud {
		err = e.cloudEvents(ctx, from, out)
	} else {
		err = e.lines(ctx, from, out)
	}
	return errors.Join(err, out.Flush())
}

// from is the sequence of the first event asked for.
func (e export) from() (uint64, error) {
	if n, err := strconv.ParseUint(e.since, 10, 64); err == nil {
		return n, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, e.since); err == nil {
			return audit.FirstSince(e.layout.Audit(), t)
		}
	}
	return 0, usageError(fmt.Sprintf("-since %.40q: it is the number of an event, a day such as 2026-11-22 or a time such as 2026-11-22T12:00:00Z, in UTC", e.since))
}

// lines writes the log's lines as they stand in its files.
func (e export) lines(ctx context.Context, from uint64, out io.Writer) error {
	for raw, err := range audit.Raw(e.layout.Audit(), from) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if _, err := out.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

func (e export) cloudEvents(ctx context.Context, from uint64, out io.Writer) error {
	for line, err := range audit.Lines(e.layout.Audit(), from) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		b, err := line.CloudEvent()
		if err != nil {
			return err
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// auditRebuild makes the database anew from the log's files: the running server does it itself, and
// without one it is done here.
func auditRebuild(ctx context.Context, l deploy.Layout, args []string, std stdio) error {
	if _, err := newFlags("audit rebuild").parse(args, 0, 0); err != nil {
		return err
	}
	log, err := audit.Open(l.Audit(), audit.Config{Logger: slog.New(slog.NewTextHandler(std.err, nil))})
	if errors.Is(err, audit.ErrHeld) {
		return remoteCommand(ctx, string(l), []string{"audit", "rebuild"}, std)
	}
	if err != nil {
		return err
	}
	defer log.Close()
	db, err := store.Open(ctx, l.Database(), slog.New(slog.NewTextHandler(std.err, nil)))
	if err != nil {
		return err
	}
	defer db.Close()
	return rebuild(ctx, audit.NewRecorder(log, db, nil), db, std.out)
}

func rebuild(ctx context.Context, r *audit.Recorder, db *store.Store, out io.Writer) error {
	began := time.Now()
	if err := r.Rebuild(ctx, db.Rebuild); err != nil {
		return err
	}
	fmt.Fprintf(out, "the database is made anew from %d events in %s\n", r.Head().Sequence, time.Since(began).Round(time.Millisecond))
	return nil
}
