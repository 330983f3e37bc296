package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/audit"
)

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 23, 59, 58, 123456789, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func config(c *clock) audit.Config {
	return audit.Config{Source: "test", Now: c.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func open(t *testing.T, dir string, c *clock) *audit.Log {
	t.Helper()
	l, err := audit.Open(dir, config(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// quick opens a log that does not wait for the disk, for tests that need many events.
func quick(t *testing.T, dir string, c *clock) *audit.Log {
	t.Helper()
	l, err := audit.OpenUnsynced(dir, config(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// event is the nth event of a test.
func event(n int) deploy.Event {
	return deploy.Event{
		Type: deploy.EventStageFinished, Actor: deploy.ServerActor("test"), App: "shop", Environment: deploy.Production,
		Deployment: deploy.Number(n), Stage: deploy.StageBuild, Outcome: deploy.OutcomePass,
	}.WithData(deploy.StageData{Log: "build.log", Size: int64(n)})
}

func add(t *testing.T, l *audit.Log, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if _, err := l.Append(t.Context(), event(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func events(t *testing.T, l *audit.Log, from uint64) []deploy.Event {
	t.Helper()
	var all []deploy.Event
	for e, err := range l.Events(from) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func verify(t *testing.T, dir string, known ...audit.Head) audit.Report {
	t.Helper()
	report, err := audit.Verify(t.Context(), dir, known...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestStory writes over midnight, closes, opens again, and reads what was written.
func TestStory(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "data", "audit"), newClock()
	l := open(t, dir, c)
	var want []deploy.Event
	for n := 1; n <= 4; n++ {
		e, err := l.Append(t.Context(), event(n))
		if err != nil {
			t.Fatal(err)
		}
		if e.Sequence != uint64(n) || e.ID == "" || !e.At.Equal(c.Now().Truncate(time.Microsecond)) {
			t.Errorf("event %d is recorded as %d, ID %q, at %v", n, e.Sequence, e.ID, e.At)
		}
		want = append(want, e)
		c.move(time.Second)
	}
	if diff := cmp.Diff(want, events(t, l, 1)); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	head := l.Head()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = open(t, dir, c)
	if l.Head() != head {
		t.Errorf("the head is %v after opening, it was %v", l.Head(), head)
	}
	add(t, l, 5, 6)
	if diff := cmp.Diff(want[2:], events(t, l, 3)[:2]); diff != "" {
		t.Errorf("from the third event on (-want +got):\n%s", diff)
	}
	for name, lines := range map[string]int{"2026-11-22.jsonl": 2, "2026-11-23.jsonl": 4} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), "\n"); n != lines {
			t.Errorf("%s has %d lines, want %d:\n%s", name, n, lines, b)
		}
	}
	report := verify(t, dir, head)
	if !report.OK() || report.Events != 6 || report.Files != 2 || report.Head != l.Head() {
		t.Errorf("the log does not verify: %+v", report)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "audit"), newClock()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	add(t, open(t, dir, c), 1, 1)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "2026-11-22.jsonl"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
}

func TestClockThatGoesBackKeepsTheNewestFile(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	l := open(t, dir, c)
	c.move(time.Minute)
	add(t, l, 1, 1)
	c.move(-48 * time.Hour)
	add(t, l, 2, 2)
	l.Close()
	add(t, open(t, dir, c), 3, 3)
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(names) != 1 {
		t.Errorf("the log has the files %v, error %v; want one", names, err)
	}
	if report := verify(t, dir); !report.OK() || report.Events != 3 {
		t.Errorf("the log does not verify: %+v", report)
	}
}

func TestAppendRefuses(t *testing.T) {
	l := open(t, t.TempDir(), newClock())
	large := event(1)
	large.Reason = strings.Repeat("x", audit.MaxLine)
	broken := event(1)
	broken.Data = []byte(`{"a":`)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		e    deploy.Event
		want error
	}{
		{"an event that is too large", t.Context(), large, audit.ErrTooLarge},
		{"data that is not JSON", t.Context(), broken, nil},
		{"an event without an actor", t.Context(), deploy.Event{Type: deploy.EventDrift}, nil},
		{"an event without a type", t.Context(), deploy.Event{Actor: deploy.ServerActor("test")}, nil},
		{"anything when its context has ended", canceled, event(1), context.Canceled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := l.Append(test.ctx, test.e)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got the error %v, want %v", err, test.want)
			}
		})
	}
	add(t, l, 1, 1)
	if l.Head().Sequence != 1 {
		t.Errorf("refused events took a sequence: the first one recorded has %d", l.Head().Sequence)
	}
}

func TestLargestEventFits(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, newClock())
	e := event(1)
	low, high := 0, audit.MaxLine
	for low+1 < high { // find the longest reason that fits
		e.Reason = strings.Repeat("x", (low+high)/2)
		if _, err := l.Append(t.Context(), e); err == nil {
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	info, err := os.Stat(filepath.Join(dir, "2026-11-22.jsonl"))
	if err != nil || info.Size() < audit.MaxLine {
		t.Errorf("the file has %v, error %v", info, err)
	}
	l.Close()
	if got := events(t, open(t, dir, newClock()), 1); uint64(len(got)) != verify(t, dir).Events {
		t.Errorf("read %d events", len(got))
	}
}

func TestOneProcessHoldsTheLog(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	l := open(t, dir, c)
	_, err := audit.Open(dir, config(c))
	if !errors.Is(err, audit.ErrHeld) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("a second one got the error %v, want %v with the pid", err, audit.ErrHeld)
	}
	l.Close()
	open(t, dir, c)
}

func TestConcurrentAppends(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, newClock())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 10 {
				if _, err := l.Append(t.Context(), event(n)); err != nil {
					t.Error(err)
				}
				for _, err := range l.Events(1) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if report := verify(t, dir); !report.OK() || report.Events != 80 {
		t.Errorf("the log does not verify: %+v", report)
	}
}

func TestEventsNoticeTheirLoss(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, newClock())
	add(t, l, 1, 3)
	path := filepath.Join(dir, firstDay)
	whole := lines(t, dir, firstDay)
	for name, left := range map[string]string{
		"the last line gone":   whole[0] + whole[1],
		"the last line torn":   whole[0] + whole[1] + "{",
		"a line gone":          whole[0] + whole[2],
		"a line without sense": whole[0] + "{}\n" + whole[2],
		"the first line gone":  whole[1] + whole[2],
		"everything gone":      "",
	} {
		write(t, path, left)
		var last error
		for _, err := range l.Events(1) {
			last = err
		}
		if last == nil {
			t.Errorf("%s: no error", name)
		}
	}
	write(t, path, whole[0]+whole[1]+"{")
	n := 0
	for _, err := range audit.Lines(dir, 2) {
		if n++; err != nil {
			t.Errorf("while another process writes: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("read %d lines from the second on, want 1", n)
	}
}
