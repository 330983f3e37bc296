//go:build bench

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/deploy"
)

// benchSwitch counts what visitors lose while releases replace each other, and measures how long a
// process that can answer waits for its first visitor.
func benchSwitch(t *testing.T, p *place, r *report) {
	w := p.newApp(t, "switch", strings.Replace(benchManifest, `"0s" }`, `"50ms" }`, 1))
	w.push("slipway")
	s := r.section("The switch", "", "", "goal")
	s.note("Clients that never try again send requests through the router while one push follows the other. A request is lost if it is not answered with 200 and the revision of one of the releases.")

	l := p.load(t, "switch", 8, 0, *benchRequests)
	pushes := 0
	for !l.finished() {
		w.commit()
		w.push("slipway")
		pushes++
	}
	l.wait()
	s.row(fmt.Sprintf("requests lost, of %d by 8 clients during %d switches", l.answered.Load()+l.lost.Load(), pushes), strconv.FormatInt(l.lost.Load(), 10), atMost(float64(l.lost.Load()), 0, ""))
	s.row("requests a second meanwhile", fmt.Sprintf("%.0f", float64(l.answered.Load())/l.took.Seconds()), "")
	if n := l.lost.Load(); n > 0 {
		t.Errorf("%d requests were lost, the first by: %v", n, l.first)
	}
	waits(t, p, s, w)
	p.removeApp(t, "switch")
	p.settled(t, 0)
}

// waits measures with a visitor every millisecond, so that the machine has time for the rest.
func waits(t *testing.T, p *place, s *section, w *tree) {
	t.Helper()
	l := p.load(t, "switch", 1, time.Millisecond, 1<<30)
	var found, routed, pushes figures
	for range *benchRounds {
		w.commit()
		p.settled(t, 1)
		begin := time.Now()
		w.push("slipway")
		pushes.add(time.Since(begin))
		seen := l.seen(w.git("rev-parse", "HEAD"))
		if seen.first.IsZero() {
			t.Fatal("no visitor came to a release while it served")
		}
		all := p.records(t)
		found.add(all[last(all)].ended[deploy.StageRelease].Sub(seen.listening))
		routed.add(seen.first.Sub(seen.listening))
	}
	l.stop()
	s.row("a process that listens 50 ms after its start waits for its first visitor", routed.String(), atMost(routed.median(), 10, " ms"))
	s.row("of that, until it is found ready and that is recorded", found.String(), "")
	s.row("the whole push meanwhile", pushes.String(), "")
}

// load is visitors of an app.
type load struct {
	t              *testing.T
	addr, host     string
	left           atomic.Int64
	answered, lost atomic.Int64
	all            sync.WaitGroup
	ended          chan struct{}
	took           time.Duration

	mu       sync.Mutex
	first    error
	releases map[string]visit
}

// visit is what an app's release says of itself.
type visit struct{ listening, first time.Time }

// load starts clients that send so many requests together, each after a pause.
func (p *place) load(t *testing.T, app string, clients int, pause time.Duration, requests int) *load {
	t.Helper()
	l := &load{t: t, addr: fmt.Sprintf("127.0.0.1:%d", p.proxy), host: fmt.Sprintf("%s.localhost:%d", app, p.proxy), ended: make(chan struct{}), releases: map[string]visit{}}
	l.left.Store(int64(requests))
	begin := time.Now()
	for range clients {
		l.all.Go(func() { l.visitor(pause) })
	}
	go func() {
		l.all.Wait()
		l.took = time.Since(begin)
		close(l.ended)
	}()
	t.Cleanup(l.stop)
	return l
}

func (l *load) finished() bool { return l.left.Load() <= 0 }
func (l *load) wait()          { <-l.ended }
func (l *load) stop()          { l.left.Store(0); l.wait() }

func (l *load) seen(revision string) visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.releases[revision]
}

// visitor sends requests over one connection for as long as the router keeps it.
func (l *load) visitor(pause time.Duration) {
	var conn net.Conn
	var answers *bufio.Reader
	tick := time.NewTicker(max(pause, time.Nanosecond))
	defer tick.Stop()
	for l.left.Add(-1) >= 0 {
		if pause > 0 {
			<-tick.C
		}
		var err error
		if conn == nil {
			if conn, err = net.Dial("tcp", l.addr); err == nil {
				answers = bufio.NewReader(conn)
			}
		}
		keep := false
		if err == nil {
			keep, err = l.visit(conn, answers)
		}
		if err != nil {
			l.lose(err)
		} else {
			l.answered.Add(1)
		}
		if !keep && conn != nil {
			conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		conn.Close()
	}
}

func (l *load) lose(err error) {
	l.lost.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
	}
}

func (l *load) visit(conn net.Conn, answers *bufio.Reader) (keep bool, err error) {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nVisitor: yes\r\n\r\n", l.host); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if _, err := deploy.ParseOID(string(body)); err != nil || resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s: %.100s", resp.Status, body)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.releases[string(body)]; !known {
		l.releases[string(body)] = visit{nanoseconds(resp.Header.Get("Listening")), nanoseconds(resp.Header.Get("First"))}
	}
	return !resp.Close, nil
}

func nanoseconds(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
