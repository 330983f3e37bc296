package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/variables"
)

// elsewhere is a production elsewhere: the commands of releases bring revisions there.
type elsewhere struct {
	mu      sync.Mutex
	serving string   // what it answers
	ran     []string // name, job and variables of each command
	fail    map[string]error
	ignore  bool // commands succeed without effect
}

func (p *elsewhere) Run(_ context.Context, job *deploy.Job, name string, step deploy.Step, vars map[string]string, log io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran = append(p.ran, fmt.Sprintf("%s of %s: %s", name, job.Number, strings.Join(step.Commands, "; ")))
	fmt.Fprintln(log, "shipping", vars["SLIPWAY_TO"])
	if err := p.fail[name]; err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(job.Tree, "REVISION")); err != nil {
		return err
	}
	if !p.ignore {
		p.serving = vars["SLIPWAY_TO_REVISION"]
	}
	return nil
}

func (p *elsewhere) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(w, "shop at %s\n", p.serving)
}

type externalBench struct {
	*testing.T
	*External
	production *elsewhere
	target     deploy.Target
	url        string
}

func newExternalBench(t *testing.T) *externalBench {
	p, layout := &elsewhere{fail: make(map[string]error)}, deploy.Layout(t.TempDir())
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return &externalBench{
		T: t, production: p, url: server.URL, target: deploy.Target{App: "shop", Environment: deploy.Production},
		External: NewExternal(ExternalConfig{Layout: layout, Runner: p, Variables: variables.New(layout)}),
	}
}

func (b *externalBench) start(n deploy.Number, change ...func(*deploy.Manifest)) {
	b.Helper()
	tree := b.layout.Work("shop", n)
	if err := os.MkdirAll(tree, 0o755); err != nil {
		b.Fatal(err)
	}
	m := &deploy.Manifest{Deploy: deploy.DeployPlan{
		Run: deploy.Step{Commands: []string{"./ship.sh"}}, Undo: deploy.Step{Commands: []string{"./ship.sh --back"}},
		ReadyTimeout: 10 * time.Second,
	}, Verify: deploy.Verify{URL: b.url}}
	for _, c := range change {
		c(m)
	}
	job := &deploy.Job{Number: n, App: deploy.App{Name: "shop", ID: 1}, Revision: revisionOf(n), Manifest: m, Tree: tree}
	c, err := b.Start(b.Context(), job, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	if c.Release.Dir != b.layout.Release("shop", n) || len(c.Instances) > 0 {
		b.Fatalf("%+v", c)
	}
}

func (b *externalBench) serves(want deploy.Number) {
	b.Helper()
	if n, err := b.Serving(b.Context(), b.target); n != want || err != nil {
		b.Errorf("serving %s, %v, want %s", n, err, want)
	}
}

func TestExternalStory(t *testing.T) {
	b := newExternalBench(t)
	ctx := t.Context()
	b.serves(0)
	b.start(1)
	b.serves(0)
	if err := b.Switch(ctx, b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	b.serves(1)
	b.start(2)
	if err := b.Switch(ctx, b.target, 1, 2); err != nil {
		t.Fatal(err)
	}
	b.serves(2)
	// Rolled back: by undo, since that is what 2 replaced.
	if err := b.Switch(ctx, b.target, 2, 1); err != nil {
		t.Fatal(err)
	}
	b.serves(1)
	b.start(3)
	b.start(4)
	for _, step := range [][2]deploy.Number{{1, 3}, {3, 4}, {4, 1}} {
		if err := b.Switch(ctx, b.target, step[0], step[1]); err != nil {
			t.Fatal(err)
		}
	}
	b.serves(1)
	want := []string{
		"run of 1: ./ship.sh", "run of 2: ./ship.sh", "undo of 2: ./ship.sh --back",
		"run of 3: ./ship.sh", "run of 4: ./ship.sh", "run of 1: ./ship.sh", // 4 did not replace 1
	}
	if !slices.Equal(b.production.ran, want) {
		t.Errorf("ran %q, want %q", b.production.ran, want)
	}
	if said, err := os.ReadFile(filepath.Join(b.layout.Deployment(2), "deploy.undo.log")); err != nil || string(said) != "shipping 1\n" {
		t.Errorf("log %q, %v", said, err)
	}
	gone, err := pruned(b, "shop", nil, 0)
	if err != nil || !slices.Equal(gone, []deploy.Number{3, 2}) { // 1 serves, 4 is what it replaced
		t.Errorf("pruned %v, %v", gone, err)
	}
}

// Production that does not take a revision is asked until the time is over, and undone.
func TestExternalNotTaken(t *testing.T) {
	b := newExternalBench(t)
	b.start(1)
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	b.start(2, func(m *deploy.Manifest) { m.Deploy.ReadyTimeout = time.Second })
	b.production.ignore = true
	err := b.Switch(t.Context(), b.target, 1, 2)
	r, ok := deploy.AsRejection(err)
	want := fmt.Sprintf("production did not show revision %s within 1s: %s: it answered %q", revisionOf(2).Short(), b.url, "shop at "+string(revisionOf(1)))
	if !ok || r.Code != deploy.CodeSwitch || r.Message != want {
		t.Errorf("got %v, want %s", err, want)
	}
	b.serves(1)
	b.production.ignore = false
	if err := b.Switch(t.Context(), b.target, 2, 1); err != nil {
		t.Fatal(err)
	}
	b.serves(1)
	if got := b.production.ran[len(b.production.ran)-1]; got != "undo of 2: ./ship.sh --back" {
		t.Errorf("it went back by %q", got)
	}
}

func TestExternalCommandFails(t *testing.T) {
	b := newExternalBench(t)
	b.production.fail["run"] = deploy.Reject(deploy.CodeSwitch, "deploy command failed (exit status 1)")
	b.start(1)
	err := b.Switch(t.Context(), b.target, 0, 1)
	if r, ok := deploy.AsRejection(err); !ok || r.Message != "deploy command failed (exit status 1)" {
		t.Errorf("got %v", err)
	}
	// The first deployment has nothing to go back to but nothing.
	if err := b.Switch(t.Context(), b.target, 1, 0); err != nil {
		t.Error(err)
	}
	b.production.fail = nil
	b.start(2, func(m *deploy.Manifest) { m.Deploy.Undo = deploy.Step{} })
	if err := b.Switch(t.Context(), b.target, 2, 0); err == nil || !strings.Contains(err.Error(), "release 2 has no undo command") {
		t.Errorf("without undo: %v", err)
	}
}

// After a server was killed in a switch, production itself is asked; where it cannot be, nobody
// guesses.
func TestExternalInterrupted(t *testing.T) {
	for _, verifiable := range []bool{true, false} {
		b := newExternalBench(t)
		change := func(m *deploy.Manifest) {
			if !verifiable {
				m.Verify.URL = ""
			}
		}
		b.start(1, change)
		if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
			t.Fatal(err)
		}
		b.start(2, change)
		killed := errors.New("killed")
		b.production.fail["run"] = killed
		if err := b.Switch(t.Context(), b.target, 1, 2); !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if verifiable {
			b.serves(1)
		} else if n, err := b.Serving(t.Context(), b.target); err == nil {
			t.Errorf("it says that %s serves", n)
		}
		if err := b.Switch(t.Context(), b.target, 2, 1); err != nil {
			t.Fatal(err)
		}
		b.serves(1)
	}
}

func TestExternalUnknownRevision(t *testing.T) {
	b := newExternalBench(t)
	b.start(1)
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	b.production.serving = "somebody else's"
	if n, err := b.Serving(t.Context(), b.target); err == nil || !strings.Contains(err.Error(), "answers with no known revision") {
		t.Errorf("serving %s, %v", n, err)
	}
}

func TestExternalReleaseCommand(t *testing.T) {
	b := newExternalBench(t)
	b.start(1, func(m *deploy.Manifest) { m.Deploy.Release.Commands = []string{"./migrate"} })
	if !slices.Equal(b.production.ran, []string{"release of 1: ./migrate"}) {
		t.Errorf("ran %q", b.production.ran)
	}
}
