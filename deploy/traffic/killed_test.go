package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// changes is a router whose server comes only to set it right, and an app that goes from release to release.
type changes struct {
	*world
	*testing.T
	backends  [2]*httptest.Server // of even releases and of odd ones
	stateFile string
	recorded  deploy.Number // the app's release
	came      map[string]int
}

// routesAt is the whole table with the app at a release. The others are there to make it long.
func (c *changes) routesAt(release deploy.Number) []Route {
	all := []Route{{App: "shop", Release: release, Upstreams: instances("shop", release, c.backends[release%2])}}
	for i := range 100 {
		app := deploy.AppName(fmt.Sprintf("app%03d", i))
		all = append(all, Route{App: app, Release: 1, Upstreams: instances(app, 1, c.backends[0])})
	}
	return sorted(byApp(all))
}

// setRight has a server come that tells the router what is recorded.
func (c *changes) setRight() {
	c.Helper()
	c.world.recorded = c.routesAt(c.recorded)
	_, end := c.supervise("v1")
	defer end()
	if now, err := c.Routes(c.Context()); err != nil || cmp.Diff(c.world.recorded, now) != "" {
		c.Fatalf("after the server came: %v, %s", err, cmp.Diff(c.world.recorded, now))
	}
}

// kill asks for the next release and kills the router meanwhile, and tells whether it had answered: at any
// moment, or while the new table is in force and waits to be saved.
func (c *changes) kill(unsaved bool) (acknowledged bool) {
	c.Helper()
	pid, server, next := c.pid(), NewClient(c.socket), c.recorded+1
	if unsaved {
		c.must(syscall.Mkfifo(c.stateFile+".new", 0o600)) // to open it takes until somebody reads
		defer func() { c.must(os.Remove(c.stateFile + ".new")) }()
	}
	ctx, leave := context.WithCancel(c.Context())
	told := make(chan error, 1)
	go func() {
		told <- server.Route(ctx, Route{App: "shop", Release: next, Upstreams: instances("shop", next, c.backends[next%2])})
	}()
	if unsaved {
		eventually(c, "the new table is in force", func() bool {
			_, text := c.get("shop.localhost", "/")
			return text == fmt.Sprintf("release %d ", next%2)
		})
	} else {
		<-time.After(rand.N(12 * time.Millisecond))
	}
	kill(c.T, pid)
	leave()
	return <-told == nil
}

func (c *changes) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// startAgain starts the router, without a server, and checks that it serves one of these releases, and
// everything else as it was.
func (c *changes) startAgain(may ...deploy.Number) (release deploy.Number) {
	c.Helper()
	saved, err := readState(c.stateFile)
	c.must(err)
	c.must(startProcess(c, "router", supervisorConfig(c.dir, c.addr, "v1", nil).Argv[1:]...).Start())
	now, err := c.Routes(c.Context())
	c.must(err)
	if diff := cmp.Diff(saved, now); diff != "" {
		c.Fatalf("it does not serve what was saved: %s", diff)
	}
	for _, release := range may {
		if cmp.Equal(now, c.routesAt(release)) {
			return release
		}
	}
	c.Fatalf("it serves neither of %v: %s", may, cmp.Diff(c.routesAt(may[0]), now))
	return 0
}

// A router that is killed at whatever moment of a change, also when the new table is in force and not saved,
// starts with a whole table: the one that was asked for, or, if it has not answered yet, the one before. The
// server that comes then sets it right.
func TestKilledAtAnyMomentOfAChange(t *testing.T) {
	c := &changes{world: newWorld(t), T: t, backends: [2]*httptest.Server{numbered(0), numbered(1)}, recorded: 1, came: map[string]int{}}
	defer c.backends[0].Close()
	defer c.backends[1].Close()
	c.stateFile = filepath.Join(c.dir, "state.json")
	c.setRight()
	for i := range 24 {
		before, asked, unsaved := c.recorded, c.recorded+1, i < 4
		acknowledged := c.kill(unsaved)
		if acknowledged && unsaved {
			t.Fatal("the router answered before it had saved the table")
		}
		if acknowledged {
			c.startAgain(asked)
			c.came["answered"]++
			c.recorded = asked
		} else {
			c.came[map[deploy.Number]string{before: "not saved", asked: "saved"}[c.startAgain(before, asked)]]++
			c.recorded += deploy.Number(rand.N(2)) // whether the server got to record it
		}
		c.setRight()
	}
	t.Logf("killed when the change was: %v", c.came)
}

// A server that lives asks the next router again, and nobody notices which table the first one had saved.
func TestKilledBeforeItHasSaved(t *testing.T) {
	w := newWorld(t)
	b1, b2 := numbered(1), numbered(2)
	defer b1.Close()
	defer b2.Close()
	w.recorded = []Route{{App: "shop", Release: 1, Upstreams: instances("shop", 1, b1)}}
	w.supervise("v1")
	next := filepath.Join(w.dir, "state.json.new")
	if err := syscall.Mkfifo(next, 0o600); err != nil {
		t.Fatal(err)
	}
	pid, told := w.pid(), make(chan error, 1)
	go func() {
		told <- w.Route(t.Context(), Route{App: "shop", Release: 2, Upstreams: instances("shop", 2, b2)})
	}()
	eventually(t, "release 2 is in force", func() bool {
		_, text := w.get("shop.localhost", "/")
		return text == "release 2 "
	})
	// It says that it lives, and what it has counted, whatever the disk does: a silent router is killed.
	patient, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	if h, err := w.Health(patient); err != nil || h.PID != pid {
		t.Errorf("health while it waits for the disk: %+v, %v", h, err)
	}
	if c, err := w.Counts(patient, instances("shop", 2, b2)[0]); err != nil || c.Requests == 0 {
		t.Errorf("counts while it waits for the disk: %+v, %v", c, err)
	}
	if err := os.Remove(next); err != nil { // it is being opened all the same
		t.Fatal(err)
	}
	kill(t, pid)
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	if n, err := w.Routed(t.Context(), "shop"); err != nil || n != 2 {
		t.Errorf("routed to %d, %v", n, err)
	}
	if _, text := w.get("shop.localhost", "/"); text != "release 2 " {
		t.Errorf("%q", text)
	}
	saved, err := readState(filepath.Join(w.dir, "state.json"))
	if err != nil || len(saved) != 1 || saved[0].Release != 2 {
		t.Errorf("saved is %v, %v", saved, err)
	}
}
