package webui

import (
	"context"
	"strings"

	"slipway/deploy"
)

// Bounds of what a page shows of a deployment's source.
const (
	maxCommits   = 50
	maxDiffFiles = 100
	maxDiffBytes = 200 << 10
	maxDiffLine  = 500 // bytes
	maxDiffLines = 2500
)

// changes fills in what a deployment brought. A repository or a revision that is not there any more is told.
func (s *Site) changes(ctx context.Context, who deploy.Caller, p *DeploymentPage) error {
	n := p.Number
	commits, err := s.Control.Commits(ctx, who, n, maxCommits)
	if r, ok := deploy.AsRejection(err); ok {
		p.Diff.Absent = begin(r.Message) + "."
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range commits.Commits {
		p.Commits = append(p.Commits, CommitRow{c.ID, c.Commit})
	}
	p.MoreCommits = commits.More
	diff, err := s.Control.Diff(ctx, who, n, deploy.DiffLimits{Files: maxDiffFiles, Bytes: maxDiffBytes})
	if r, ok := deploy.AsRejection(err); ok {
		p.Diff.Absent = begin(r.Message) + "."
		return nil
	}
	if err != nil {
		return err
	}
	p.Diff = diffOf(diff)
	return nil
}

// diffOf makes lines of a diff.
func diffOf(d deploy.Diff) Diff {
	out := Diff{Files: len(d.Files), Cut: d.More}
	if len(d.Files) == 0 {
		out.Absent = "No file was changed."
		return out
	}
	for _, f := range d.Files {
		out.Added, out.Removed = out.Added+f.Added, out.Removed+f.Deleted
		if len(out.Lines) >= maxDiffLines {
			out.Cut = true
			continue
		}
		out.Lines = append(out.Lines, DiffLine{"file", fileLine(f)})
		switch {
		case f.Binary:
			out.Lines = append(out.Lines, DiffLine{"", "binary, or too large to compare"})
		case f.Patch == "" && f.Added+f.Deleted > 0:
			out.Lines = append(out.Lines, DiffLine{"", "too long for a page"})
		}
		for line := range strings.Lines(f.Patch) {
			if len(out.Lines) >= maxDiffLines {
				out.Cut = true
				break
			}
			out.Lines = append(out.Lines, diffLine(strings.TrimRight(line, "\r\n")))
		}
	}
	return out
}

func fileLine(f deploy.FileChange) string {
	switch {
	case f.OldPath == "":
		return f.Path + " (new)"
	case f.Path == "":
		return f.OldPath + " (deleted)"
	case f.OldPath != f.Path:
		return f.OldPath + " → " + f.Path
	}
	return f.Path
}

func diffLine(l string) DiffLine {
	class := ""
	switch {
	case strings.HasPrefix(l, "@@"):
		class = "hunk"
	case strings.HasPrefix(l, "+"):
		class = "added"
	case strings.HasPrefix(l, "-"):
		class = "removed"
	}
	if len(l) > maxDiffLine {
		l = strings.ToValidUTF8(l[:maxDiffLine], "") + " …"
	}
	return DiffLine{class, l}
}
