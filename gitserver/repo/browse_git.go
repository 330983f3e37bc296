package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"slipway/deploy"
)

// emptyTree256 is git's empty tree in a SHA-256 repository.
const emptyTree256 = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"

// diffByGit is Diff by the git program.
func (s *Store) diffByGit(ctx context.Context, app deploy.AppName, from, to deploy.OID, limits deploy.DiffLimits) (deploy.Diff, error) {
	if from.IsZero() {
		from = emptyTree256
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := s.in(ctx, app, "-c", "core.quotePath=false", "diff-tree", "-r", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", string(from), string(to))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return deploy.Diff{}, fmt.Errorf("comparing trees: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return deploy.Diff{}, fmt.Errorf("comparing trees: %w", err)
	}
	b := make([]byte, limits.Bytes+1)
	n, err := io.ReadFull(stdout, b)
	cancel()
	_ = cmd.Wait() // it was ended, if there was more
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return deploy.Diff{}, fmt.Errorf("comparing trees: %w", err)
	}
	d := parseDiff(strings.ToValidUTF8(string(b[:n]), "\uFFFD"))
	if n > limits.Bytes && len(d.Files) > 0 {
		d.More, d.Files = true, d.Files[:len(d.Files)-1] // the last one is cut
	}
	if len(d.Files) > limits.Files {
		d.More, d.Files = true, d.Files[:limits.Files]
	}
	return d, nil
}

// parseDiff reads what git diff-tree -p writes.
func parseDiff(text string) deploy.Diff {
	var d deploy.Diff
	var f *deploy.FileChange
	hunk := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "diff --git ") {
			d.Files, hunk = append(d.Files, named(line)), false
			f = &d.Files[len(d.Files)-1]
		}
		if f == nil {
			continue
		}
		f.Patch += line
		switch {
		case strings.HasPrefix(line, "@@"):
			hunk = true
		case hunk && line[0] == '+':
			f.Added++
		case hunk && line[0] == '-':
			f.Deleted++
		case hunk:
		case strings.HasPrefix(line, "new file"):
			f.OldPath = ""
		case strings.HasPrefix(line, "deleted file"):
			f.Path = ""
		case strings.HasPrefix(line, "Binary files "):
			f.Binary, f.Patch = true, ""
		}
	}
	return d
}

// named reads the path of "diff --git a/PATH b/PATH". Without renames it stands there twice.
func named(line string) deploy.FileChange {
	both := strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "diff --git ")
	path := strings.TrimPrefix(both[:len(both)/2], "a/")
	return deploy.FileChange{Path: path, OldPath: path, Patch: ""}
}
