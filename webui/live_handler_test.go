package webui

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// lines writes the lines from..to of a log.
func (w *world) lines(t *testing.T, log string, from, to int) {
	t.Helper()
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "%s line %d\n", log, i)
	}
	w.write(t, log+".log", b.String())
}

// nobody tells whether the site streams to nobody.
func (w *world) nobody() bool {
	v := &w.site.watches
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.all) == 0
}

// until waits until something is so.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for limit := time.Now().Add(30 * time.Second); !ok(); <-look.C {
		if time.Now().After(limit) {
			t.Fatal("not so within 30 s: " + what)
		}
	}
}

// A reader says what it has, by the last event's id or by its address, and gets what comes after it: the lines
// that it missed, and those that are written while it is there.
func TestResumes(t *testing.T) {
	const line = len("build line 1\n") // as long as all nine
	for name, c := range map[string]struct {
		id, at string
		want   int // the first line that is sent
	}{
		"with nothing":                   {"", "", 1},
		"after three lines":              {fmt.Sprintf("build=%d:4:0", 3*line), "", 4},
		"as its page was loaded":         {"", fmt.Sprintf("build=%d:7:0", 6*line), 7},
		"after its page was loaded":      {fmt.Sprintf("build=%d:9:0", 8*line), fmt.Sprintf("build=%d:2:0", line), 9},
		"with all of it":                 {fmt.Sprintf("build=%d:10:0", 9*line), "", 10},
		"with what nobody can have sent": {"build=-1:0:x;;~", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.begin("build")
			w.lines(t, "build", 1, 9)
			p := &page43{address: w.serve(t).URL + "/deployments/43/live?" + url.Values{"at": {c.at}}.Encode(), last: c.id, lines: map[string][]int{}, text: map[string][]string{}, parts: map[string]string{}}
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.follow(t.Context(), t, 1_000_000)
			}()
			until(t, "somebody reads", func() bool { return !w.nobody() })
			w.lines(t, "build", 10, 12)
			w.begin("test.unit")
			w.lines(t, "test.unit", 1, 2)
			w.reject(deploy.Reject(deploy.CodeTest, "it failed"), "test.unit")
			<-done
			var want []int
			for i := c.want; i <= 12; i++ {
				want = append(want, i)
			}
			if d := cmp.Diff(map[string][]int{"build": want, "test.unit": {1, 2}}, p.lines); d != "" || !p.ended {
				t.Errorf("ended %t, lines: %s", p.ended, d)
			}
		})
	}
}

// A reader who goes costs nothing any more.
func TestReaderGoes(t *testing.T) {
	w := newWorld(t)
	w.begin("build")
	w.lines(t, "build", 1, 9)
	p := load(t, w.serve(t).URL)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.follow(ctx, t, 1_000_000)
	}()
	until(t, "somebody reads", func() bool { return !w.nobody() })
	leave()
	<-done
	until(t, "the stream has ended with its reader", w.nobody)
	w.change(func() { clear(w.asked) })
	w.lines(t, "build", 10, 20)
	<-time.After(3 * lookInterval)
	w.change(func() {
		if len(w.asked) > 0 {
			t.Errorf("nobody reads, and asked was %v", w.asked)
		}
	})
}

// Who may not read an app gets no stream of it, whatever is said to have been read before.
func TestStreamRefused(t *testing.T) {
	w := newWorld(t)
	w.begin("build")
	w.lines(t, "build", 1, 9)
	server := w.serve(t)
	w.change(func() { w.role = "" })
	viewer := request(t, http.MethodGet, server.URL+"/deployments/43/live?at=build%3D0:1:0", nil)
	viewer.Header.Set("Last-Event-ID", "build=0:1:0")
	res, body := answer(t, viewer)
	if res.StatusCode != http.StatusNotFound || strings.Contains(body, "build line") || res.Header.Get("Content-Type") == "text/event-stream" {
		t.Errorf("a viewer of another app: %s\n%s", res.Status, body)
	}
	for _, path := range []string{"/deployments/43/live", "/live"} {
		stranger := request(t, http.MethodGet, server.URL+path, nil)
		stranger.Header.Del("Cookie")
		if res, body := answer(t, stranger); res.StatusCode != http.StatusSeeOther || strings.Contains(body, "data:") {
			t.Errorf("%s to a stranger: %s\n%s", path, res.Status, body)
		}
	}
	if !w.nobody() {
		t.Error("a stream began")
	}
}

// A reader who takes nothing is left, and goes on later where it was.
func TestSlowReader(t *testing.T) {
	w := newWorld(t)
	w.begin("build")
	server := w.serve(t, func(c *Config) { c.Stopping = nil })
	p := load(t, server.URL)
	var b strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&b, "build line %d\n", i+1)
	}
	w.write(t, "build.log", b.String())

	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	r := request(t, http.MethodGet, p.address, nil)
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(res.Body)
	e, err := readEvent(in)
	if err != nil {
		t.Fatal(err)
	}
	p.take(t, e)
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	until(t, "a reader who takes nothing is left", w.nobody)
	for {
		e, err := readEvent(in)
		if err != nil {
			break // cut by the server
		}
		p.take(t, e)
	}
	if p.ended || len(p.lines["build"]) == 30_000 {
		t.Fatal("a slow reader got everything")
	}
	w.reject(deploy.Reject(deploy.CodeBuild, "it failed"), "build")
	for limit := time.Now().Add(time.Minute); !p.ended && time.Now().Before(limit); {
		p.follow(t.Context(), t, 1_000_000) // this one may be cut as well, where the machine is busy
	}
	p.whole(t, "build", 30_000)
}

// Streams end when the server stops, and tell no end.
func TestStreamsStop(t *testing.T) {
	w := newWorld(t)
	w.begin("build")
	stopping := make(chan struct{})
	server := w.serve(t, func(c *Config) { c.Stopping = stopping })
	p := load(t, server.URL)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.follow(t.Context(), t, 1_000_000)
	}()
	<-time.After(50 * time.Millisecond)
	close(stopping)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
	if p.ended {
		t.Error("the page was told that the deployment has ended")
	}
}

// Audit events come to a page that is open, and a page that was away gets those that it missed, once.
func TestLiveTrail(t *testing.T) {
	w := newWorld(t)
	w.begin("build")
	server := w.serve(t)
	p := load(t, server.URL)
	record := func(sequence uint64, kind deploy.EventType) {
		w.change(func() {
			w.events = slices.Insert(w.events, 0, deploy.Event{Sequence: sequence, Type: kind, At: w.deployment.QueuedAt, Actor: deploy.ServerActor("pipeline"), App: "shop", Deployment: 43})
		})
	}
	told := func(words ...string) func() bool {
		return func() bool {
			ctx, cut := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cut()
			p.follow(ctx, t, 1000)
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(p.parts["trail"], word) })
		}
	}
	record(7, deploy.EventDeploymentQueued)
	until(t, "the first event is told", told(`id="event-7"`))
	delete(p.parts, "trail")
	ctx, cut := context.WithTimeout(t.Context(), 500*time.Millisecond)
	p.follow(ctx, t, 1000)
	cut()
	if _, again := p.parts["trail"]; again {
		t.Error("the page is told again what it has")
	}
	record(8, deploy.EventDeploymentStarted)
	until(t, "the next is told", told(`id="event-7"`, `id="event-8"`))
	if strings.Index(p.parts["trail"], "event-8") > strings.Index(p.parts["trail"], "event-7") {
		t.Error("the newest is not the first")
	}
	w.reject(deploy.Reject(deploy.CodeBuild, "it failed"), "build")
	until(t, "the verdict is told", told("deployment.rejected"))
}

// What is streamed is for those who may see it, and offers what they may do.
func TestLiveRights(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	for _, role := range []deploy.Role{deploy.RoleViewer, deploy.RoleDeveloper} {
		w.change(func() { w.role = role })
		p := load(t, server.URL)
		p.follow(t.Context(), t, 3)
		if got := strings.Contains(p.parts["actions"], "/cancel"); got != (role == deploy.RoleDeveloper) {
			t.Errorf("%s is offered to cancel: %t", role, got)
		}
	}
	w.change(func() { w.role = "" })
	if res, _ := answer(t, request(t, http.MethodGet, server.URL+"/deployments/43/live", nil)); res.StatusCode != http.StatusNotFound {
		t.Errorf("a stranger to the app: %s", res.Status)
	}
}
