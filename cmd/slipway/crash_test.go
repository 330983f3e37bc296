package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKilledAtEveryInstant runs the server as its users do and kills it before and after every record, every
// effect and every change to the names of a file system (crash_changes_test.go), during pushes of all kinds and
// during the recovery; and at the same instants its router, a keeper, an instance, all of them at once, or the
// power. Besides, a power cut takes what it can of a release that is being made (crash_unsynced_test.go). Each
// time the server starts again, and then everything has to agree (crash_agree_test.go), the next push to work,
// and the visitors not to have noticed.
//
// The instants are found by running: a first push of each kind counts them. All of them would take two
// hours, so make test takes a sample, in which each kind of push and each victim appears, and another
// one each time. make crash N=6000 takes each instant once with the server killed, and then any with any
// victim. A seed that is given again gives the same sample.
func TestKilledAtEveryInstant(t *testing.T) {
	t.Parallel()
	runs, seed := setting(t, "CRASH_RUNS", 18), setting(t, "CRASH_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("seed %d: make crash N=%d SEED=%d", seed, runs, seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	program, app := crashProgram(t)
	noKillPoints(t, program)
	var plan []crash
	for world, failed := 0, 0; world == 0 || len(plan) > 0; world++ {
		if failed == maxFailedWorlds {
			t.Fatalf("%d crashes were not tried", len(plan))
		}
		if !t.Run(fmt.Sprintf("world %d", world), func(t *testing.T) {
			w := newCrashWorld(t, program, app)
			if world == 0 {
				plan = withLosses(w.plan(random, runs))
			}
			plan = w.crashes(t, plan)
		}) {
			failed++
		}
	}
}

// noKillPoints makes sure that the program that people run has none of this in it.
func noKillPoints(t *testing.T, crashing string) {
	t.Helper()
	mark := []byte("SLIPWAY_CRASH_AT")
	for program, want := range map[string]bool{filepath.Join("..", "..", "bin", "slipway"): false, crashing: true} {
		b, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(b, mark); got != want {
			t.Errorf("%s has kill points: %t", program, got)
		}
	}
}

const (
	// crashesPerWorld keeps the log of a world so short that checking it costs little.
	crashesPerWorld = 40
	maxFailedWorlds = 5
	// pointsOfRecovery is how many points a recovery passes that has a lot to do.
	pointsOfRecovery = 120
)

func setting(t *testing.T, name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if os.Getenv(name) != "" && err != nil {
		t.Fatal(err)
	}
	if err != nil {
		return otherwise
	}
	return n
}

// crash is one thing that happens to a world.
type crash struct {
	kind   kind
	point  int    // of the server's life, from its start; 0 is the first one of that name
	name   string // of the point, as it was when they were counted
	victim victim
	loses  *loss // files, besides; nil for none
	again  int   // the point at which the next server is killed; 0 for none
}

func (c crash) String() string {
	s := fmt.Sprintf("%s, %s at %d %s", c.kind.name, c.victim, c.point, c.name)
	if c.loses != nil {
		s = fmt.Sprintf("%s, %s %s, and %s", c.kind.name, c.victim, c.name, c.loses.name)
	}
	if c.again > 0 {
		s += fmt.Sprintf(", again at %d", c.again)
	}
	return s
}

// at names its point for the server (killpoints_crash.go).
func (c crash) at() string {
	if c.point == 0 {
		return c.name
	}
	return strconv.Itoa(c.point)
}

// victim is what a crash ends.
type victim string

const (
	onlyServer victim = "server"
	theRouter  victim = "router"   // the server goes on
	aKeeper    victim = "keeper"   // the server goes on
	anInstance victim = "instance" // the server goes on
	everything victim = "everything"
	thePower   victim = "power"
)

// plan counts the points of each kind of push and chooses what is done.
func (w *crashWorld) plan(random *rand.Rand, runs int) []crash {
	var all []crash
	for _, k := range kinds() {
		for i, name := range w.count(k) {
			all = append(all, crash{kind: k, point: i + 1, name: name, victim: onlyServer})
		}
	}
	w.t.Logf("%d points in %d kinds of pushes", len(all), len(kinds()))
	var chosen []crash
	for i := range min(runs, len(all)) { // spread evenly
		chosen = append(chosen, all[(i*len(all)+random.IntN(len(all)))/runs%len(all)])
	}
	for len(chosen) < runs {
		chosen = append(chosen, all[random.IntN(len(all))])
	}
	others := []victim{theRouter, aKeeper, anInstance, everything, thePower, thePower}
	for i := range chosen {
		if i >= len(all) || runs < len(all) && i%2 == 1 {
			chosen[i].victim = others[i/2%len(others)]
		}
		if random.IntN(3) == 0 {
			chosen[i].again = 1 + random.IntN(pointsOfRecovery)
		}
	}
	random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// count runs a push of a kind without any crash, and returns the names of the points it passes, those
// of the server's start before them.
func (w *crashWorld) count(k kind) []string {
	w.t.Helper()
	trace := filepath.Join(w.dir, "trace")
	_ = os.Remove(trace)
	w.kill()
	a := k.prepare(w)
	w.visitors.allow(false, append(slices.Clone(a.visible), w.serving.revision)...)
	w.start(a.instead, "SLIPWAY_CRASH_TRACE="+trace, "SLIPWAY_CRASH_AT=0")
	w.must(w.ready())
	if err := a.run(); (err == nil) != (len(a.accepted) > 0) {
		w.t.Fatalf("%s: %v\n%s", k.name, err, w.lastLog())
	}
	if a.instead != nil {
		w.must(w.serve())
	}
	w.settle(false)
	if w.t.Failed() {
		w.t.Fatalf("%s:\n%s", k.name, w.lastLog())
	}
	b, err := os.ReadFile(trace)
	w.must(err)
	names := strings.Split(strings.TrimSpace(string(b)), "\n")
	w.pushAgain()
	return names
}

// crashes does what is planned until the world is old or broken, and returns the rest of the plan.
func (w *crashWorld) crashes(t *testing.T, plan []crash) []crash {
	for range min(crashesPerWorld, len(plan)) {
		c := plan[0]
		plan = plan[1:]
		ok := t.Run(c.String(), func(t *testing.T) {
			w.t = t
			began := time.Now()
			w.crash(c)
			t.Logf("%s", time.Since(began).Round(time.Millisecond))
		})
		w.t = t
		if !ok {
			break
		}
	}
	return plan
}
