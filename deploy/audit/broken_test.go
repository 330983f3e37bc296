package audit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"slipway/deploy"
)

// failing is a file whose next write or sync fails, as on a full or dying disk.
type failing struct {
	*os.File
	plan *plan
}

// plan says what fails next, and how much of a write arrives before.
type plan struct {
	write, sync, truncate error
	arrives               int
}

func (f *failing) Write(b []byte) (int, error) {
	if err := f.plan.write; err != nil {
		n, _ := f.File.Write(b[:min(len(b), f.plan.arrives)])
		return n, err
	}
	return f.File.Write(b)
}

func (f *failing) Sync() error {
	if err := f.plan.sync; err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *failing) Truncate(size int64) error {
	if err := f.plan.truncate; err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func openFailing(t *testing.T, dir string, p *plan) *Log {
	t.Helper()
	l, err := Open(dir, Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	l.openFile = func(path string) (file, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		return &failing{f, p}, nil
	}
	return l
}

func driftEvent() deploy.Event {
	return deploy.Event{Type: deploy.EventDrift, Actor: deploy.ServerActor("test"), App: "shop"}
}

// TestBrokenLog: after a failure the log refuses everything, and no refused event is in it later,
// whether it is repaired by itself or by the next start.
func TestBrokenLog(t *testing.T) {
	for name, p := range map[string]plan{
		"a full disk":                     {write: syscall.ENOSPC, arrives: 10},
		"a full disk, nothing arrives":    {write: syscall.ENOSPC},
		"a failing sync":                  {sync: syscall.EIO},
		"a disk that takes nothing back":  {write: syscall.ENOSPC, arrives: 10, truncate: syscall.EIO},
		"a sync, and nothing taken back":  {sync: syscall.EIO, truncate: syscall.EIO},
		"a whole line, and an error then": {write: syscall.EIO, arrives: 1 << 20},
	} {
		for _, mend := range []string{"repair", "reopen"} {
			for _, before := range []int{0, 2} {
				t.Run(name+", "+mend, func(t *testing.T) { testBroken(t, p, mend, before) })
			}
		}
	}
}

func testBroken(t *testing.T, fails plan, mend string, before int) {
	dir, p := t.TempDir(), &plan{}
	l := openFailing(t, dir, p)
	for range before {
		if _, err := l.Append(t.Context(), driftEvent()); err != nil {
			t.Fatal(err)
		}
	}
	*p = fails
	cause := errors.Join(fails.write, fails.sync)
	if _, err := l.Append(t.Context(), driftEvent()); !errors.Is(err, ErrBroken) {
		t.Fatalf("a failed append: got %v, want %v", err, ErrBroken)
	}
	*p = plan{}
	if _, err := l.Append(t.Context(), driftEvent()); !errors.Is(err, ErrBroken) {
		t.Errorf("the next append: got %v, want %v because of %v", err, ErrBroken, cause)
	}
	if l.Head().Sequence != uint64(before) {
		t.Errorf("the head is %v, want that of event %d", l.Head(), before)
	}
	if mend == "repair" {
		if err := l.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
	} else {
		l.Close()
		l = openFailing(t, dir, p)
	}
	last, err := l.Append(t.Context(), driftEvent())
	if err != nil {
		t.Fatal(err)
	}
	// A line that could not be taken back may stand in the log for the next start; then it counts.
	stuck := mend == "reopen" && fails.truncate != nil && fails.sync != nil
	if want := uint64(before) + 2; mend == "repair" && last.Sequence != want {
		t.Errorf("the next event is %d, want %d", last.Sequence, want)
	}
	for e, err := range l.Events(1) {
		if err != nil {
			t.Fatal(err)
		}
		refused := e.Sequence > uint64(before) && e.Sequence < last.Sequence && e.Type != EventRepaired
		if refused && !stuck {
			t.Errorf("event %d (%s) was refused and is in the log", e.Sequence, e.Type)
		}
	}
	report, err := Verify(t.Context(), dir, l.Head())
	if err != nil || !report.OK() {
		t.Errorf("the log does not verify: %v, error %v", report.Findings, err)
	}
}

func TestRepairNoticesLostPages(t *testing.T) {
	dir, p := t.TempDir(), &plan{}
	l := openFailing(t, dir, p)
	if _, err := l.Append(t.Context(), driftEvent()); err != nil {
		t.Fatal(err)
	}
	p.sync = syscall.EIO
	if _, err := l.Append(t.Context(), driftEvent()); !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
	p.sync = nil
	path := filepath.Join(dir, l.newest)
	if err := os.WriteFile(path, make([]byte, l.tail.size), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Repair(t.Context()); err == nil {
		t.Error("a file that lost what was confirmed counts as repaired")
	}
	if _, err := l.Append(t.Context(), driftEvent()); !errors.Is(err, ErrBroken) {
		t.Errorf("the next append: got %v, want %v", err, ErrBroken)
	}
}

func TestClosedLog(t *testing.T) {
	l := openFailing(t, t.TempDir(), &plan{})
	l.Close()
	if _, err := l.Append(t.Context(), driftEvent()); !errors.Is(err, ErrBroken) {
		t.Errorf("appending: got %v, want %v", err, ErrBroken)
	}
	if err := l.Repair(t.Context()); err == nil {
		t.Error("repairing it: no error")
	}
}

// TestRecorderMendsTheLog: when the disk takes writes again, so does the recorder, and its projection
// and feeds hear of the repair in its place.
func TestRecorderMendsTheLog(t *testing.T) {
	p, seen := &plan{}, &sequences{}
	l := openFailing(t, t.TempDir(), p)
	r := NewRecorder(l, seen, l.config.Logger)
	feed := r.Subscribe(t.Context(), 1)
	for i, fails := range []plan{{}, {write: syscall.ENOSPC, arrives: 7}, {sync: syscall.EIO}, {}} {
		*p = fails
		_, err := r.Record(t.Context(), driftEvent())
		if bad := fails != (plan{}); bad != errors.Is(err, ErrBroken) {
			t.Errorf("event %d with %+v: %v", i, fails, err)
		}
	}
	want := []deploy.EventType{deploy.EventDrift, EventRepaired, deploy.EventDrift}
	for i, kind := range want {
		if e := <-feed.C; e.Sequence != uint64(i)+1 || e.Type != kind {
			t.Errorf("the feed has event %d (%s), want %d (%s)", e.Sequence, e.Type, i+1, kind)
		}
	}
	if got := []deploy.EventType(*seen); !slices.Equal(got, want) {
		t.Errorf("the projection had %v, want %v", got, want)
	}
}

// sequences is a projection that keeps the types of its events.
type sequences []deploy.EventType

func (s *sequences) Position(context.Context) (uint64, string, error)  { return 0, "", nil }
func (s *sequences) Check(context.Context, deploy.Event, uint64) error { return nil }
func (s *sequences) Project(_ context.Context, events ...deploy.Event) error {
	for _, e := range events {
		*s = append(*s, e.Type)
	}
	return nil
}

// TestFileSizeLimit has the system itself refuse the second half of a line, as a full disk does.
func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(t.Context(), driftEvent()); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	low := syscall.Rlimit{Cur: uint64(l.tail.size) + 100, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Fatal(err)
	}
	_, refused := l.Append(t.Context(), driftEvent())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(refused, ErrBroken) || !errors.Is(refused, syscall.EFBIG) {
		t.Errorf("got %v, want %v and %v", refused, ErrBroken, syscall.EFBIG)
	}
	if err := l.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := l.Append(t.Context(), driftEvent())
	if err != nil || e.Sequence != 3 {
		t.Errorf("the next event is %d, error %v; want 3, after the repair", e.Sequence, err)
	}
	if report, err := Verify(t.Context(), dir, l.Head()); err != nil || !report.OK() {
		t.Errorf("the log does not verify: %v, error %v", report.Findings, err)
	}
}
