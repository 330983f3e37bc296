package retention_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/retention"
)

var shop = deploy.App{Name: "shop", ID: 1}

// world is what a keeper sees.
type world struct {
	t      *testing.T
	layout deploy.Layout
	policy retention.Policy

	mu      sync.Mutex
	rows    map[deploy.Number]deploy.Deployment
	state   deploy.TargetState
	running map[deploy.Number]bool
	busy    bool
	kept    []deploy.Number
	said    []string // what was recorded and done, in order
	refuse  error    // what the audit log says
	tidied  chan struct{}
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, layout: deploy.Layout(t.TempDir()), rows: map[deploy.Number]deploy.Deployment{}, running: map[deploy.Number]bool{}, tidied: make(chan struct{}, 100)}
	w.policy = retention.Policy{Logs: 90 * 24 * time.Hour, Rejected: 2, Cache: 100 << 10, MinFree: 1}
	return w
}

func (w *world) keeper() *retention.Keeper {
	return retention.New(retention.Config{
		Layout: w.layout, Policy: w.policy, Records: w, Recorder: w, Repositories: w, Pipeline: w,
		Reserve:   retention.NewReserve(w.layout.Reserve(), w, slog.New(slog.DiscardHandler)),
		DropSpare: func(_ context.Context, a deploy.AppName) error { w.say("drop spare of %s", a); return nil },
		Logger:    slog.New(slog.DiscardHandler),
	})
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *world) Apps(context.Context) ([]deploy.App, error) { return []deploy.App{shop}, nil }
func (w *world) Deployment(_ context.Context, n deploy.Number) (deploy.Deployment, error) {
	d, ok := w.rows[n]
	if !ok {
		return d, deploy.ErrNotFound
	}
	return d, nil
}
func (w *world) TargetState(context.Context, deploy.Target) (deploy.TargetState, error) {
	return w.state, nil
}
func (w *world) Record(_ context.Context, e deploy.Event) (deploy.Event, error) {
	if w.refuse == nil {
		w.say("%s %s", e.Type, e.Data)
	}
	return e, w.refuse
}
func (w *world) Kept(context.Context, deploy.AppName) ([]deploy.Number, error) { return w.kept, nil }
func (w *world) Forget(_ context.Context, _ deploy.AppName, n ...deploy.Number) error {
	w.say("forget %d", n)
	return nil
}
func (w *world) Maintain(context.Context, deploy.AppName) error {
	w.say("maintain")
	return nil
}
func (w *world) Prune(_ context.Context, _ deploy.AppName, grace time.Duration) error {
	w.say("prune objects older than %s", grace)
	w.tidied <- struct{}{}
	return nil
}
func (w *world) WhenIdle(_ deploy.Target, work func() error) (bool, error) {
	if w.busy {
		return false, nil
	}
	return true, work()
}
func (w *world) InFlight(n deploy.Number) bool { return w.running[n] }

func (w *world) deployment(n deploy.Number, s deploy.Status, ended time.Duration) {
	w.t.Helper()
	at := time.Now().Add(-ended)
	w.rows[n] = deploy.Deployment{Number: n, App: "shop", Status: s, QueuedAt: at, FinishedAt: at}
	w.file(filepath.Join("deployments", n.String(), "build.log"), 1)
}

func (w *world) file(name string, size int) string {
	w.t.Helper()
	path := filepath.Join(string(w.layout), name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o644))
	return path
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) there(name string) bool {
	_, err := os.Lstat(filepath.Join(string(w.layout), name))
	return err == nil
}

const day = 24 * time.Hour

// Old logs and rejected revisions go; what serves, the good one before, and what is in flight stay.
func TestOld(t *testing.T) {
	w := newWorld(t)
	w.state = deploy.TargetState{Serving: 3, Previous: 2}
	w.deployment(1, deploy.StatusAccepted, 400*day)
	w.deployment(2, deploy.StatusAccepted, 300*day)
	w.deployment(3, deploy.StatusAccepted, 200*day)
	w.deployment(4, deploy.StatusRejected, 150*day)
	w.deployment(5, deploy.StatusRunning, 150*day)
	w.deployment(6, deploy.StatusRejected, 150*day)
	w.running[6] = true // between its verdict and its answer
	w.deployment(7, deploy.StatusCanceled, 3*day)
	w.deployment(8, deploy.StatusRejected, 2*day)
	w.deployment(9, deploy.StatusErrored, 1*day)
	unknown := w.file("deployments/99/transcript.log", 1)
	w.must(os.Chtimes(filepath.Dir(unknown), time.Now(), time.Now().Add(-100*day)))
	w.file("deployments/98/transcript.log", 1)
	w.kept = []deploy.Number{1, 2, 3, 4, 5, 6, 7, 8, 9, 98}

	w.must(w.keeper().Tidy(t.Context(), false))
	want := []string{
		`revisions.pruned {"deployments":[7,4]}`, "forget [7 4]", "prune objects older than 336h0m0s", "maintain",
		`logs.pruned {"deployments":[1,4,99]}`,
	}
	if diff := cmp.Diff(want, w.said); diff != "" {
		t.Error(diff)
	}
	for n := range deploy.Number(9) {
		gone := n+1 == 1 || n+1 == 4
		if w.there("deployments/"+(n+1).String()) == gone {
			t.Errorf("logs of %d", n+1)
		}
	}
	if w.there("deployments/99") || !w.there("deployments/98") {
		t.Error("logs that nobody knows go by their age")
	}
}

// What cannot be recorded is not removed.
func TestUnrecorded(t *testing.T) {
	w := newWorld(t)
	w.deployment(1, deploy.StatusRejected, 400*day)
	w.kept = []deploy.Number{1}
	w.file("apps/shop/cache/home/.cache/big", 200<<10)
	w.refuse = errors.New("the disk is full")
	if err := w.keeper().Tidy(t.Context(), false); !errors.Is(err, w.refuse) {
		t.Errorf("%v", err)
	}
	if !w.there("deployments/1") || !w.there("apps/shop/cache/home/.cache/big") || len(w.said) != 2 {
		t.Errorf("removed without a record: %q", w.said)
	}
}

func TestCache(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"home/go/mod/file", "home/.npm/file", "tree/node_modules/a/file", "home/.cache/file"} {
		path := w.file("apps/shop/cache/"+name, 40<<10)
		used := time.Now().Add(time.Duration(i-10) * time.Hour)
		w.must(os.Chtimes(path, used, used))
		w.must(os.Chmod(filepath.Dir(path), 0o555)) // as go's module cache is
	}
	w.busy = true
	w.must(w.keeper().Tidy(t.Context(), false))
	if !w.there("apps/shop/cache/home/go") {
		t.Error("dropped under a build")
	}
	w.busy, w.said = false, nil
	w.must(w.keeper().Tidy(t.Context(), false))
	for name, stays := range map[string]bool{"home/go": false, "home/.npm": false, "tree/node_modules": true, "home/.cache": true, ".dropped": false} {
		if w.there("apps/shop/cache/"+name) != stays {
			t.Errorf("%s: should stay: %v", name, stays)
		}
	}
	if len(w.said) == 0 || !strings.HasPrefix(w.said[0], `cache.pruned {"entries":["home/go","home/.npm"],"bytes":`) {
		t.Errorf("%q", w.said)
	}
	w.said = nil
	w.must(w.keeper().Tidy(t.Context(), false))
	if len(w.said) != 2 {
		t.Errorf("done again: %q", w.said)
	}
}

func TestRoom(t *testing.T) {
	w := newWorld(t)
	k := w.keeper()
	w.must(k.Room("shop"))
	w.policy.MinFree = 1 << 60
	k = w.keeper()
	err := k.Room("shop")
	r, ok := deploy.AsRejection(err)
	if !ok || r.Code != deploy.CodeUnavailable || !strings.HasPrefix(r.Message, "the server's disk is full: ") || !strings.HasSuffix(r.Message, " GiB needed") {
		t.Errorf("%v", err)
	}
	if k.Spacious(t.Context(), shop) {
		t.Error("not for spares either")
	}
	// A refusal has the room looked for at once.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	<-w.tidied
	<-w.tidied
	cancel()
	w.must(<-done)
	if got := strings.Join(w.said, "\n"); !strings.Contains(got, "drop spare of shop") || !strings.Contains(got, "older than 1h0m0s") {
		t.Errorf("%s", got)
	}
}
