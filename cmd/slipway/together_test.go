package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
)

// TestTwoAtOnce has two developers push to one app at once, and one stack a push on the one that is being
// watched. One of the two wins. The other reads why it cannot, as soon as that is certain: when the ref has
// moved. The stacked one goes on after it.
func TestTwoAtOnce(t *testing.T) {
	s := newSoak(t, 1)
	watched := s.begin("alice", "8s", "✓ switch")
	<-watched.heard
	overtaken := s.begin("bob", "200ms", "waiting: place 1")
	<-overtaken.heard
	s.gitIn(s.clone("carol"), "pull", "-q", s.clone("alice"), "HEAD")
	stacked := s.begin("carol", "200ms", "waiting: place 2")
	<-stacked.heard
	if !watched.ok() || overtaken.ok() || !stacked.ok() {
		t.Fatalf("alice:\n%s\nbob:\n%s\ncarol:\n%s\n%s", watched, overtaken, stacked, s.lastLog())
	}
	queued, _ := history(t, s.data)
	if len(queued) != 4 {
		t.Fatalf("%d deployments", len(queued))
	}
	won, lost, went := queued[1], queued[2], queued[3]
	told := lost.endedAt.Sub(won.moved)
	t.Logf("it was certain when the ref moved; recorded %s later, read %s later; the stacked one began %s later", told, overtaken.rest.at.Sub(won.moved), went.started.Sub(won.moved))
	if told > time.Second {
		t.Errorf("bob could have known for %s", told)
	}
	for _, want := range []string{"no fast-forward of main, which is " + won.New.Short() + " now", "git pull --rebase"} {
		if !strings.Contains(overtaken.String(), want) {
			t.Errorf("bob does not read %q:\n%s", want, overtaken)
		}
	}
	if lost.end != deploy.EventRejected || !lost.started.IsZero() || went.Old != won.New || went.end != deploy.EventAccepted {
		t.Errorf("bob's: %+v, carol's: %+v", lost, went)
	}
	for _, v := range s.visitors {
		v.end()
		if len(v.wrong) > 0 {
			t.Errorf("%d wrong answers, the first: %s", len(v.wrong), v.wrong[0])
		}
	}
}

// pushing is a push that runs.
type pushing struct {
	*listener
	rest *listener // of why it is rejected
	done chan error
}

func (p *pushing) Write(b []byte) (int, error) {
	_, _ = p.rest.Write(b)
	return p.listener.Write(b)
}

func (p *pushing) ok() bool { return <-p.done == nil }

func (s *soak) clone(who string) string { return filepath.Join(s.dir, who, s.apps[0]) }

// begin pushes a revision that is watched for a while, and listens for a word.
func (s *soak) begin(who, bake, word string) *pushing {
	s.t.Helper()
	dir := s.clone(who)
	s.write(filepath.Join(dir, "answer"), who+"\n")
	s.write(filepath.Join(dir, "slipway.toml"), fmt.Sprintf(soakManifest, bake))
	s.gitIn(dir, "commit", "-qam", who)
	s.visitors[s.apps[0]].allow(strings.TrimSpace(s.gitIn(dir, "rev-parse", "HEAD")))
	p := &pushing{listener: newListener(word), rest: newListener("rejected: "), done: make(chan error, 1)}
	cmd := exec.Command("git", "push", "origin", "HEAD:main")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, s.env, p, p
	s.must(cmd.Start())
	limit := time.AfterFunc(soakPushTime, func() { _ = cmd.Process.Kill() })
	go func() {
		defer limit.Stop()
		p.done <- cmd.Wait()
		p.end()
	}()
	return p
}
