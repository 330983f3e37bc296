package keeper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a process that ends when told.
type fake struct {
	ended   chan string
	signals []syscall.Signal
	deaf    bool
}

func (f *fake) PID() int { return os.Getpid() }

func (f *fake) Signal(sig syscall.Signal) error {
	f.signals = append(f.signals, sig)
	if !f.deaf {
		f.ended <- "signal: terminated"
	}
	return nil
}

func (f *fake) Kill() error {
	f.ended <- "signal: killed"
	return nil
}

func (f *fake) Wait() string { return "" }

func bubbled(t *testing.T, trial bool, start func(n int) (*fake, error)) (*keeper, *[]time.Duration) {
	var starts []time.Duration
	begin := time.Now()
	k := &keeper{
		cfg:      Config{Dir: t.TempDir(), Trial: trial}.withDefaults(),
		requests: make(chan request), finished: make(chan struct{}), changed: make(chan struct{}),
	}
	k.status.Trial = trial
	k.cfg.Logger = slog.New(slog.DiscardHandler)
	k.pause = k.cfg.Backoff.First
	k.start = func(context.Context) (*child, error) {
		starts = append(starts, time.Since(begin))
		p, err := start(len(starts))
		if err != nil {
			return nil, err
		}
		return &child{process: p, startedAt: time.Now(), ended: p.ended}, nil
	}
	return k, &starts
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k, starts := bubbled(t, false, func(int) (*fake, error) { return nil, errors.New("no such program") })
		k.cfg.Dir = dir
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		k.loop(ctx)
		var pauses []time.Duration
		for i := 1; i < len(*starts); i++ {
			pauses = append(pauses, (*starts)[i]-(*starts)[i-1])
		}
		const ms = time.Millisecond
		want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30000 * ms, 30000 * ms, 30000 * ms, 30000 * ms}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
		if s := k.snapshot(); s.LastExit != "could not be started: no such program" || s.Restarts != 13 || !s.Stopped {
			t.Errorf("status %+v", s)
		}
	})
}

func TestBackoffStartsAfreshAfterALongRun(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k, starts := bubbled(t, false, func(n int) (*fake, error) {
			f := &fake{ended: make(chan string, 2)}
			switch n {
			case 1, 2, 3, 5:
				f.ended <- "exit status 1"
			case 4:
				time.AfterFunc(10*time.Second, func() { f.ended <- "exit status 1" })
			}
			return f, nil
		})
		k.cfg.Dir = dir
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		k.loop(ctx)
		const ms = time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 10800 * ms, 11000 * ms}
		if !slices.Equal(*starts, want) {
			t.Errorf("started at %v, want %v", *starts, want)
		}
	})
}

func TestStopGivesGraceThenKills(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{ended: make(chan string, 2), deaf: true}
		k, _ := bubbled(t, false, func(int) (*fake, error) { return f, nil })
		k.cfg.Dir = dir
		begin := time.Now()
		go k.loop(t.Context())
		if err := k.ask(t.Context(), request{intent: restart, grace: 7 * time.Second}); err != nil {
			t.Fatal(err)
		}
		// A stop wins over the restart, and its grace counts where it is shorter.
		if err := k.ask(t.Context(), request{intent: stop, grace: 5 * time.Second}); err != nil {
			t.Fatal(err)
		}
		<-k.finished
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("stopped after %v", d)
		}
		if !slices.Equal(f.signals, []syscall.Signal{syscall.SIGTERM}) {
			t.Errorf("signals %v", f.signals)
		}
		if s := k.snapshot(); s.Starts != 1 || s.LastExit != "signal: killed" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestStopDuringThePause(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k, starts := bubbled(t, false, func(int) (*fake, error) { return nil, errors.New("no") })
		k.cfg.Dir = dir
		go k.loop(t.Context())
		synctest.Wait()
		if err := k.ask(t.Context(), request{intent: stop, grace: time.Hour}); err != nil {
			t.Fatal(err)
		}
		<-k.finished
		if len(*starts) != 1 {
			t.Errorf("started %d times", len(*starts))
		}
	})
}

func TestAnEndOnTrialIsFinalUntilKept(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k, starts := bubbled(t, true, func(int) (*fake, error) { return nil, errors.New("no") })
		k.cfg.Dir = dir
		go k.loop(t.Context())
		<-time.After(time.Hour) // of the bubble
		if s := k.snapshot(); !s.Ended || s.Starts != 1 {
			t.Errorf("status %+v", s)
		}
		if err := k.ask(t.Context(), request{intent: keepOn}); err != nil {
			t.Fatal(err)
		}
		if _, err := k.await(t.Context(), func(s Status) bool { return s.Starts == 2 }); err != nil {
			t.Fatal(err)
		}
		if got := (*starts)[1]; got != time.Hour+100*time.Millisecond {
			t.Errorf("started again at %v", got)
		}
		k.ask(t.Context(), request{intent: stop})
		<-k.finished
	})
}
