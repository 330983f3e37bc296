package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"slipway/deploy"
)

// EventRepaired records that the end of the log was damaged and put right. Its data is a [Repair].
const EventRepaired deploy.EventType = "audit.repaired"

// Repair is the data of [EventRepaired].
type Repair struct {
	File   string `json:"file"`             // of the log
	Aside  string `json:"aside,omitempty"`  // the file beside it that got the torn line; empty if there was none
	Size   int64  `json:"size"`             // bytes taken away
	SHA256 string `json:"sha256,omitempty"` // of those bytes
}

// A torn line is moved to FILE.torn-OFFSET, which is called FILE.torn-OFFSET.new until the repair is
// recorded: a crash in between is found by that name.
const (
	tornMark = ".torn-"
	newMark  = ".new"
)

// cutTorn moves what a crash left of the last line out of the log. A crash can tear one line only,
// since each is on disk before the next is written; more damage than that is not ours to judge.
func (l *Log) cutTorn() error {
	names, err := fileNames(l.dir)
	if err != nil || len(names) == 0 {
		return err
	}
	s, err := scanFile(l.dir, names[len(names)-1])
	if err != nil || !s.torn {
		return err
	}
	l.config.Logger.Warn("the last line of the audit log is torn; moving it aside", "file", s.name, "offset", s.start, "error", s.broken)
	path := filepath.Join(l.dir, s.name)
	if err := moveEnd(path, s.start); err != nil {
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	if err := l.folder.Sync(); err != nil {
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	return truncate(path, s.start)
}

// moveEnd copies what stands in the file from start on to a file beside it, and onto the disk.
func moveEnd(path string, start int64) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := from.Seek(start, io.SeekStart); err != nil {
		return err
	}
	to, err := os.OpenFile(fmt.Sprintf("%s%s%d%s", path, tornMark, start, newMark), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Sync()
}

func truncate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	return nil
}

// recordTorn records the repairs that are not recorded yet.
func (l *Log) recordTorn() error {
	fresh, err := filepath.Glob(filepath.Join(globQuote(l.dir), "*"+tornMark+"*"+newMark))
	if err != nil {
		return fmt.Errorf("recording a repair of the audit log: %w", err)
	}
	for _, path := range fresh {
		if err := l.recordOneTorn(path); err != nil {
			return err
		}
	}
	return nil
}

// globQuote makes a folder's name stand for itself in a pattern.
func globQuote(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func (l *Log) recordOneTorn(path string) error {
	aside := strings.TrimSuffix(path, newMark)
	name, _, _ := strings.Cut(filepath.Base(path), tornMark)
	size, sum, err := hashFile(path)
	if err != nil {
		return fmt.Errorf("recording a repair of the audit log: %w", err)
	}
	e := deploy.Event{
		Type: EventRepaired, Actor: deploy.ServerActor("recovery"), Outcome: deploy.OutcomePass,
		Reason: "the last line was torn by a crash; nothing that was confirmed is lost",
	}
	repair := Repair{File: name, Aside: filepath.Base(aside), Size: size, SHA256: sum}
	if _, err := l.append(e.WithData(repair)); err != nil {
		return err
	}
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("recording a repair of the audit log: %w", err)
	}
	if err := l.folder.Sync(); err != nil {
		return fmt.Errorf("recording a repair of the audit log: %w", err)
	}
	return nil
}

func hashFile(path string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	return size, hex.EncodeToString(sum.Sum(nil)), err
}

// hashStart hashes the first bytes of a file.
func hashStart(path string, size int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, io.LimitReader(f, size))
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Repair makes a broken log take events again, once the disk does: it checks that everything confirmed
// is still there, takes away what is not, and records that. It does nothing to a log that is whole.
func (l *Log) Repair(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	if err := l.folder.Sync(); err != nil { // also tells a log that was closed
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	cause := l.broken
	taken, err := l.takeBack()
	if err != nil {
		return fmt.Errorf("repairing the audit log: %w", err)
	}
	l.broken = nil
	e := deploy.Event{
		Type: EventRepaired, Actor: deploy.ServerActor("recovery"), Outcome: deploy.OutcomePass,
		Reason: "the log could not be written: " + cause.Error(),
	}
	_, err = l.append(e.WithData(Repair{File: l.newest, Size: taken}))
	return err
}

// takeBack cuts the newest file to what was confirmed and compares that with what this process knows
// it wrote. After a failed sync the system may have forgotten pages that it had not written, and will
// not say so again; reading them is the only way to know.
func (l *Log) takeBack() (int64, error) {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	if l.newest == "" {
		return 0, nil
	}
	path, size := filepath.Join(l.dir, l.newest), l.sizeOf(l.newest)
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	sum, err := hashStart(path, size)
	if err != nil {
		return 0, err
	}
	if info.Size() < size || size > 0 && sum != l.tail.file().SHA256 {
		return 0, errors.New(l.newest + " no longer holds what was written to it")
	}
	return info.Size() - size, truncate(path, size)
}
