package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"slipway/deploy"
)

// TestInFlightIsSpared: a deployment that has been accepted prunes neither what a roll back behind it waits
// for, nor its own release or the one before it; and the revision that a redeploy waits to build stays known
// as in flight. When they have ended nothing is.
func TestInFlightIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := settled(t) // 1 was accepted, and 2, which serves
		p := w.pipeline()
		building, built := make(chan struct{}), make(chan struct{})
		w.during["build"] = func() {
			close(building)
			<-built
		}
		var answers [3]deploy.Answer
		ended := make(chan struct{}, len(answers))
		begin := func(i int, work func() deploy.Answer) {
			go func() {
				answers[i] = work()
				ended <- struct{}{}
			}()
			synctest.Wait()
		}
		begin(0, func() deploy.Answer { return p.Admit(t.Context(), offer(3), &bytes.Buffer{}) })
		<-building
		begin(1, func() deploy.Answer { return p.Again(t.Context(), rollback(1), io.Discard) })
		redeploy := rollback(2)
		redeploy.Again.Kind = deploy.AgainRedeploy
		ctx, leave := context.WithCancel(t.Context())
		begin(2, func() deploy.Answer { return p.Again(ctx, redeploy, io.Discard) })

		for n := range deploy.Number(7) { // 3 is built, 4 and 5 wait for it
			if want := n >= 1 && n <= 5; p.InFlight(n) != want {
				t.Errorf("deployment %d is in flight: %v", n, !want)
			}
		}
		leave()
		synctest.Wait()
		if p.InFlight(2) || p.InFlight(5) {
			t.Error("what was canceled is in flight")
		}
		delete(w.during, "build")
		w.spared = nil
		close(built)
		<-ended
		<-ended
		<-ended
		if !answers[0].Accepted || !answers[1].Accepted || answers[2].Accepted {
			t.Fatalf("%+v", answers)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.spared) != 2 {
			t.Fatalf("pruned %d times", len(w.spared))
		}
		for _, n := range []deploy.Number{1, 2, 3} {
			if !slices.Contains(w.spared[0], n) {
				t.Errorf("when 3 was accepted, release %d could have been pruned: %d were spared", n, w.spared[0])
			}
		}
		for n := range deploy.Number(7) {
			if p.InFlight(n) {
				t.Errorf("%d is in flight", n)
			}
		}
	})
}

// TestInFlightBeforeItHasAFolder stops a deployment while it makes its folder: the housekeeping, which takes
// away folders of which nothing is recorded, must find it in flight by then.
func TestInFlightBeforeItHasAFolder(t *testing.T) {
	w := newWorld(t)
	p := w.pipeline()
	transcript := filepath.Join(w.layout.Deployment(1), TranscriptFile)
	w.must(os.MkdirAll(filepath.Dir(transcript), 0o755))
	w.must(syscall.Mkfifo(transcript, 0o600)) // to open it takes until somebody reads
	ended := make(chan deploy.Answer)
	go func() { ended <- p.Admit(context.Background(), offer(1), io.Discard) }()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for began := time.Now(); !p.InFlight(1) && time.Since(began) < 10*time.Second; {
		<-look.C
	}
	if len(w.types()) > 0 {
		t.Error("it is recorded already, so this shows nothing")
	}
	if !p.InFlight(1) {
		t.Error("it has a folder and no record, and is not in flight")
	}
	f, err := os.Open(transcript)
	w.must(err)
	_, err = io.Copy(io.Discard, f)
	w.must(errors.Join(err, f.Close()))
	if answer := <-ended; !answer.Accepted {
		t.Errorf("%+v\n%s", answer, w.log.String())
	}
}

// TestForgotten: of a deployment that cannot be recorded, or have a folder, nothing stays.
func TestForgotten(t *testing.T) {
	w := newWorld(t)
	p := w.pipeline()
	w.fail["record deployment.queued"] = errors.New("no")
	if answer := p.Admit(t.Context(), offer(1), io.Discard); answer.Accepted || answer.Number != 0 || p.InFlight(1) {
		t.Errorf("%+v, in flight: %v", answer, p.InFlight(1))
	}
	delete(w.fail, "record deployment.queued")
	w.must(os.MkdirAll(filepath.Join(w.layout.Deployment(2), TranscriptFile), 0o755)) // where a file is to be
	if answer := p.Admit(t.Context(), offer(1), io.Discard); answer.Accepted || answer.Number != 0 || p.InFlight(2) {
		t.Errorf("%+v, in flight: %v", answer, p.InFlight(2))
	}
	if left, err := os.ReadDir(filepath.Dir(w.layout.Deployment(1))); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if answer := p.Admit(t.Context(), offer(1), io.Discard); !answer.Accepted || answer.Number != 3 {
		t.Errorf("the next one: %+v", answer)
	}
}
