package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
)

// TestSideBySide has developers push to many apps at a time, good revisions and bad ones, while every app is
// visited. In the end every push has the verdict that its revision deserves, what was accepted is one line
// of history for each app, no visitor has noticed anything, and the server is as large as it was.
//
// make test does it for seconds with few apps, make soak MINUTES=10 for longer with ten.
func TestSideBySide(t *testing.T) {
	minutes, seed := setting(t, "SOAK_MINUTES", 0), setting(t, "SOAK_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("seed %d: make soak MINUTES=%d SEED=%d", seed, max(minutes, 1), seed)
	apps, span := 3, 8*time.Second
	if minutes > 0 {
		apps, span = 10, time.Duration(minutes)*time.Minute
	}
	s := newSoak(t, apps)
	idle := s.quiet()
	deadline := time.Now().Add(span)
	measured := s.measure()
	var developers sync.WaitGroup
	for i, who := range []string{"alice", "bob", "carol", "olga"} {
		random := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
		developers.Go(func() {
			for n := 0; (n == 0 || time.Now().Before(deadline)) && !t.Failed(); n++ {
				s.push(who, s.apps[random.IntN(apps)], s.kinds(who)[random.IntN(len(s.kinds(who)))])
			}
		})
	}
	developers.Wait()
	figures := measured()
	s.judge()
	s.judgeSize(idle, s.quiet(), figures, span)
}

// kindOfPush is what a revision is like, and what becomes of it.
type kindOfPush struct {
	name    string
	files   []string
	options []string
	leaves  bool // the pusher, in the middle of the build
	ends    deploy.EventType
	stage   deploy.StageName // that it fails in
}

func (k kindOfPush) String() string { return k.name }

// serves tells whether visitors may see a revision of the kind.
func (k kindOfPush) serves() bool {
	return k.stage == "" && !k.leaves || k.stage == deploy.StageMonitor
}

// failsIn tells whether that is where it may fail. What fails under traffic may do so in the moment of the
// switch.
func (k kindOfPush) failsIn(stage deploy.StageName) bool {
	return k.stage == "" || stage == k.stage || k.stage == deploy.StageMonitor && stage == deploy.StageSwitch
}

func (s *soak) kinds(who string) []kindOfPush {
	good := kindOfPush{name: "good", ends: deploy.EventAccepted}
	all := []kindOfPush{
		good, good, good, good,
		{name: "does not build", files: []string{"unbuilt"}, ends: deploy.EventRejected, stage: deploy.StageBuild},
		{name: "fails a test", files: []string{"broken"}, ends: deploy.EventRejected, stage: deploy.TestStage("unit")},
		{name: "does not start", files: []string{"dead"}, ends: deploy.EventRejected, stage: deploy.StageRelease},
		{name: "fails under traffic", files: []string{"sick"}, ends: deploy.EventRejected, stage: deploy.StageMonitor},
		{name: "is left by its pusher", files: []string{"slow"}, leaves: true, ends: deploy.EventCanceled},
	}
	if who == "olga" {
		bypass := kindOfPush{name: "bypass", files: []string{"broken"}, options: []string{"-o", "bypass", "-o", "reason=it is urgent"}, ends: deploy.EventAccepted}
		return append(all, bypass, bypass)
	}
	return all
}

// attempted is a push as its pusher saw it.
type attempted struct {
	who, app, revision string
	kind               kindOfPush
	began, ended       time.Time
	said               string
	ok                 bool
}

func (a attempted) String() string {
	took := a.ended.Sub(a.began).Round(time.Millisecond)
	return fmt.Sprintf("%s pushes %.7s to %s, which %s, at %s, and after %s has read:\n%s",
		a.who, a.revision, a.app, a.kind, a.began.UTC().Format(time.RFC3339Nano), took, a.said)
}

// push makes a revision on top of what is in production now, and pushes it.
func (s *soak) push(who, app string, kind kindOfPush) {
	dir := filepath.Join(s.dir, who, app)
	a := attempted{who: who, app: app, kind: kind, began: time.Now()}
	s.gitIn(dir, "fetch", "-q", "origin")
	s.gitIn(dir, "reset", "-q", "--hard", "origin/main")
	for _, name := range []string{"unbuilt", "broken", "dead", "sick", "slow"} {
		_ = os.Remove(filepath.Join(dir, name))
	}
	bake := "200ms"
	if kind.stage == deploy.StageMonitor {
		bake = "30s" // as long as it takes until visitors came
	}
	files := append([]string{"answer"}, kind.files...)
	for _, name := range files {
		s.write(filepath.Join(dir, name), strconv.FormatInt(s.number.Add(1), 10)+"\n")
	}
	s.write(filepath.Join(dir, "slipway.toml"), fmt.Sprintf(soakManifest, bake))
	s.gitIn(dir, "add", "-A")
	s.gitIn(dir, "commit", "-q", "-m", kind.name)
	a.revision = strings.TrimSpace(s.gitIn(dir, "rev-parse", "HEAD"))
	if kind.serves() {
		s.visitors[app].allow(a.revision)
	}
	a.said, a.ok = s.gitPush(dir, kind)
	a.ended = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes = append(s.pushes, a)
}

// gitPush pushes with the real git, and ends it in the middle if the pusher leaves.
func (s *soak) gitPush(dir string, kind kindOfPush) (said string, ok bool) {
	cmd := exec.Command("git", append(append([]string{"push"}, kind.options...), "origin", "HEAD:main")...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, s.env, &syscall.SysProcAttr{Setpgid: true}
	heard := newListener("✓ checkout")
	cmd.Stdout, cmd.Stderr = heard, heard
	s.must(cmd.Start())
	defer time.AfterFunc(soakPushTime, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }).Stop()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if kind.leaves {
		select {
		case <-heard.heard:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		case err := <-done:
			done <- err
		}
	}
	err := <-done
	said = heard.String()
	if err != nil {
		said += fmt.Sprintf("[git: %v]", err) // one that was killed says nothing itself
	}
	return said, err == nil
}

// soakPushTime is more than any push takes, with others before it.
const soakPushTime = 3 * time.Minute

// listener is what a program says; heard is closed when it has said a word, or
// has ended.
type listener struct {
	mu    sync.Mutex
	word  string
	said  strings.Builder
	heard chan struct{}
	at    time.Time // when it was heard
}

func newListener(word string) *listener { return &listener{word: word, heard: make(chan struct{})} }

func (l *listener) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said.Write(b)
	if l.at.IsZero() && strings.Contains(l.said.String(), l.word) {
		l.at = time.Now()
		close(l.heard)
	}
	return len(b), nil
}

// end closes heard, whatever was said.
func (l *listener) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() {
		l.at = time.Now()
		close(l.heard)
	}
}

func (l *listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
