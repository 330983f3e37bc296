package audit_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/audit"
)

// memory is a projection that keeps the sequences it was given, and fails on request.
type memory struct {
	mu      sync.Mutex
	events  []deploy.Event
	fail    error
	refuse  error
	calls   int
	onCheck func()
}

func (m *memory) Position(context.Context) (uint64, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, "", m.fail
	}
	if len(m.events) == 0 {
		return 0, "", nil
	}
	last := m.events[len(m.events)-1]
	return last.Sequence, last.ID, nil
}

func (m *memory) Check(_ context.Context, _ deploy.Event, _ uint64) error {
	if m.onCheck != nil {
		m.onCheck()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refuse
}

func (m *memory) Project(ctx context.Context, events ...deploy.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if err := errors.Join(m.fail, ctx.Err()); err != nil {
		return err
	}
	m.events = append(m.events, events...)
	return nil
}

func (m *memory) set(fail, refuse error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail, m.refuse = fail, refuse
}

// inOrder checks that the projection has had every event of the log once, in order.
func (m *memory) inOrder(t *testing.T, l *audit.Log) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if diff := cmp.Diff(events(t, l, 1), m.events); diff != "" {
		t.Errorf("the projection (-log +projection):\n%s", diff)
	}
}

func recorder(t *testing.T) (*audit.Recorder, *audit.Log, *memory) {
	t.Helper()
	l, m := quick(t, t.TempDir(), newClock()), &memory{}
	return audit.NewRecorder(l, m, config(newClock()).Logger), l, m
}

func record(t *testing.T, r *audit.Recorder, n int) deploy.Event {
	t.Helper()
	e, err := r.Record(t.Context(), event(n))
	if err != nil {
		t.Fatal(err)
	}
	r.Wait()
	return e
}

// TestRecorderSurvivesItsDatabase: while the projection fails events stand in the log, and afterwards
// it gets each of them.
func TestRecorderSurvivesItsDatabase(t *testing.T) {
	r, l, m := recorder(t)
	record(t, r, 1)
	m.set(errors.New("disk I/O error"), nil)
	for n := 2; n <= 4; n++ {
		record(t, r, n)
	}
	if !r.Behind() {
		t.Error("the projection does not count as behind")
	}
	if err := r.CatchUp(t.Context()); err == nil {
		t.Error("catching up with a failing projection: no error")
	}
	m.set(nil, nil)
	record(t, r, 5)
	if r.Behind() {
		t.Error("the projection still counts as behind")
	}
	m.inOrder(t, l)
}

// TestRunCatchesUp: nobody needs to record anything for the projection to come up to date.
func TestRunCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, m := recorder(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		record(t, r, 1)
		m.set(errors.New("disk I/O error"), nil)
		record(t, r, 2)
		<-time.After(time.Minute)
		m.set(nil, nil)
		<-time.After(time.Minute)
		m.inOrder(t, l)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestCatchUpReplaysInBatches(t *testing.T) {
	l, m := quick(t, t.TempDir(), newClock()), &memory{}
	add(t, l, 1, 1203)
	r := audit.NewRecorder(l, m, nil)
	for range 2 {
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m.inOrder(t, l)
	if m.calls != 3 {
		t.Errorf("the projection was called %d times for 1203 events, want 3", m.calls)
	}
	record(t, r, 1204)
	m.inOrder(t, l)
}

func TestCatchUpNoticesAnotherHistory(t *testing.T) {
	_, l, m := recorder(t)
	add(t, l, 1, 3)
	for name, last := range map[string]deploy.Event{
		"an event that the log has not": {Sequence: 4, ID: "x"},
		"another event":                 {Sequence: 2, ID: "x"},
	} {
		m.events = []deploy.Event{last}
		r := audit.NewRecorder(l, m, nil)
		if err := r.CatchUp(t.Context()); !errors.Is(err, audit.ErrDiverged) {
			t.Errorf("%s: got %v, want %v", name, err, audit.ErrDiverged)
		}
		err := r.Rebuild(t.Context(), func(_ context.Context, events iter.Seq2[deploy.Event, error]) error {
			m.events = nil
			for e, err := range events {
				if err != nil {
					return err
				}
				m.events = append(m.events, e)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m.inOrder(t, l)
	}
}

func TestRecorderRefuses(t *testing.T) {
	r, l, m := recorder(t)
	m.set(nil, deploy.ErrExists)
	if _, err := r.Record(t.Context(), event(1)); !errors.Is(err, deploy.ErrExists) {
		t.Errorf("got %v, want %v", err, deploy.ErrExists)
	}
	m.set(nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Record(ctx, event(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if l.Head().Sequence != 0 {
		t.Errorf("a refused event was recorded: %v", l.Head())
	}
}

// TestRecordIsWholeOrNot: a context that ends once the event is in the log does not keep it from being
// projected; one that ends while waiting for the turn keeps it from being recorded.
func TestRecordIsWholeOrNot(t *testing.T) {
	l, m := quick(t, t.TempDir(), newClock()), &memory{}
	ctx, cancel := context.WithCancel(t.Context())
	r := audit.NewRecorder(l, &cancels{memory: m, cancel: cancel}, nil)
	if _, err := r.Record(ctx, event(1)); err != nil {
		t.Fatal(err)
	}
	r.Wait()
	m.inOrder(t, l)

	entered, leave := make(chan struct{}), make(chan struct{})
	m.onCheck = func() { close(entered); <-leave }
	done := make(chan error)
	go func() {
		_, err := r.Record(t.Context(), event(2))
		done <- err
	}()
	<-entered
	waiting, giveUp := context.WithCancel(t.Context())
	giveUp()
	if _, err := r.Record(waiting, event(3)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := l.Head().Sequence; n != 2 {
		t.Errorf("the log has %d events, want 2", n)
	}
}

// TestProgressIsProjectedBeside: a deployment goes on while the projection takes in how far it is; what comes
// next is recorded after that, and projected when Record returns.
func TestProgressIsProjectedBeside(t *testing.T) {
	for _, kind := range []deploy.EventType{
		deploy.EventDeploymentStarted, deploy.EventStageStarted, deploy.EventStageFinished, deploy.EventSwitchIntended, deploy.EventSwitchDone,
	} {
		t.Run(string(kind), func(t *testing.T) { projectedBeside(t, kind) })
	}
}

func projectedBeside(t *testing.T, kind deploy.EventType) {
	l, m := quick(t, t.TempDir(), newClock()), &slow{begun: make(chan struct{}), proceed: make(chan struct{})}
	r := audit.NewRecorder(l, m, config(newClock()).Logger)
	feed := r.Subscribe(t.Context(), 0)
	first := event(1)
	first.Type = kind
	if _, err := r.Record(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	<-m.begun
	if n := l.Head().Sequence; n != 1 {
		t.Errorf("the log ends with event %d before the projection has it, want 1", n)
	}
	done := make(chan error)
	go func() {
		accepted := event(2)
		accepted.Type = deploy.EventAccepted
		_, err := r.Record(t.Context(), accepted)
		done <- err
	}()
	m.proceed <- struct{}{}
	<-m.begun
	select {
	case err := <-done:
		t.Errorf("an acceptance was recorded (%v) before it was projected", err)
	default:
	}
	m.proceed <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	m.inOrder(t, l)
	if diff := cmp.Diff(sequence(1, 2), receive(t, feed, 2)); diff != "" {
		t.Errorf("the feed (-want +got):\n%s", diff)
	}
}

// slow projects when it is told to.
type slow struct {
	memory
	begun, proceed chan struct{}
}

func (s *slow) Project(ctx context.Context, events ...deploy.Event) error {
	s.begun <- struct{}{}
	<-s.proceed
	return s.memory.Project(ctx, events...)
}

// cancels ends a context when it is about to project.
type cancels struct {
	*memory
	cancel func()
}

func (c *cancels) Project(ctx context.Context, events ...deploy.Event) error {
	c.cancel()
	return c.memory.Project(ctx, events...)
}

// receive takes n events of a feed and returns their sequences.
func receive(t *testing.T, f *audit.Feed, n int) []uint64 {
	t.Helper()
	var got []uint64
	for range n {
		e, ok := <-f.C
		if !ok {
			t.Fatalf("the feed ended after %v: %v", got, f.Err())
		}
		got = append(got, e.Sequence)
	}
	return got
}

func sequence(from, to uint64) []uint64 {
	var all []uint64
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

func TestFeedReplaysThenFollows(t *testing.T) {
	r, _, _ := recorder(t)
	for n := 1; n <= 5; n++ {
		record(t, r, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	old, now := r.Subscribe(ctx, 2), r.Subscribe(ctx, 0)
	record(t, r, 6)
	record(t, r, 7)
	if diff := cmp.Diff(sequence(2, 7), receive(t, old, 6)); diff != "" {
		t.Errorf("from the second event on:\n%s", diff)
	}
	if diff := cmp.Diff(sequence(6, 7), receive(t, now, 2)); diff != "" {
		t.Errorf("from now on:\n%s", diff)
	}
	cancel()
	for range old.C {
		t.Error("an event after the end")
	}
	if !errors.Is(old.Err(), context.Canceled) {
		t.Errorf("the feed ended with %v", old.Err())
	}
}

// TestSlowFeed: a reader that does not read holds up nobody, gets the marker, and loses nothing by
// subscribing again.
func TestSlowFeed(t *testing.T) { synctest.Test(t, testSlowFeed) }

func testSlowFeed(t *testing.T) {
	r, _, _ := recorder(t)
	f := r.Subscribe(t.Context(), 1)
	record(t, r, 1)
	receive(t, f, 1)
	synctest.Wait() // until the feed is live: one that replays reads files, and can take its time
	const last = 1000
	for n := 2; n <= last; n++ {
		record(t, r, n)
	}
	got := uint64(1)
	for e := range f.C {
		if e.Sequence != got+1 {
			t.Fatalf("event %d follows %d", e.Sequence, got)
		}
		got = e.Sequence
	}
	if !errors.Is(f.Err(), audit.ErrSlow) || f.Next() != got+1 || got == last {
		t.Errorf("the feed ended after %d with %v, to go on at %d", got, f.Err(), f.Next())
	}
	again := r.Subscribe(t.Context(), f.Next())
	if diff := cmp.Diff(sequence(got+1, last), receive(t, again, int(last-got))); diff != "" {
		t.Errorf("subscribed again:\n%s", diff)
	}
}

// TestManyRecordAndFollow: each feed sees every event once and in order, while many record.
func TestManyRecordAndFollow(t *testing.T) {
	r, l, m := recorder(t)
	const writers, each = 4, 25
	var all sync.WaitGroup
	for i := range 4 {
		f := r.Subscribe(t.Context(), 1)
		all.Go(func() {
			want := uint64(1)
			for e := range f.C {
				if e.Sequence != want {
					t.Errorf("feed %d: event %d, want %d", i, e.Sequence, want)
				}
				if want++; want > writers*each {
					return
				}
			}
			t.Errorf("feed %d ended: %v", i, f.Err())
		})
	}
	for range writers {
		all.Go(func() {
			for n := range each {
				if _, err := r.Record(t.Context(), event(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	m.inOrder(t, l)
}
