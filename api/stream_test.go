package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

// listener reads a stream of server-sent events.
type listener struct {
	*world
	body *bufio.Reader
	end  context.CancelFunc
	last string // the id seen last
}

func (w *world) listen(token, path, from string) *listener {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	w.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path, nil)
	w.Must(err)
	r.Header.Set("Authorization", "Bearer "+token)
	if from != "" {
		r.Header.Set("Last-Event-ID", from)
	}
	res, err := http.DefaultClient.Do(r)
	w.Must(err)
	w.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.Fatalf("%s, %s", res.Status, res.Header.Get("Content-Type"))
	}
	return &listener{world: w, body: bufio.NewReader(res.Body), end: cancel, last: from}
}

// next returns the next event's name and text, "" at the end of the stream.
func (l *listener) next() (name, text string) {
	id := l.last
	for {
		line, err := l.body.ReadString('\n')
		if err != nil {
			return "", ""
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "id":
			id = value // of this event, which may be cut off
		case "event":
			name = value
		case "data":
			var data struct{ Text string }
			l.Must(json.Unmarshal([]byte(value), &data))
			text = data.Text
		case "":
			if name != "" {
				l.last = id
				return name, text
			}
		}
	}
}

// TestStream: a log that grows is read whole, each line once, also by a reader that is cut off and comes
// again; and it ends with its deployment.
func TestStream(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	w.Queued(5, "shop", "alice", "x")
	w.Record(deploy.Event{Type: deploy.EventDeploymentStarted, App: "shop", Deployment: 5}.WithData(deploy.StartedData{}))
	w.Record(deploy.Event{Type: deploy.EventStageStarted, App: "shop", Deployment: 5, Stage: deploy.StageBuild})
	w.pipeline.run(5, true)
	token := w.token(controltest.Operator(), deploy.RoleViewer, "shop")
	path := "/api/v1/deployments/5/logs/build/stream"
	l := w.listen(token, path, "") // before there is a file
	w.write(5, "build.log", "")
	f, err := os.OpenFile(filepath.Join(w.Layout.Deployment(5), "build.log"), os.O_APPEND|os.O_WRONLY, 0)
	w.Must(err)
	defer f.Close()
	var want, got strings.Builder
	say := func(s string) {
		want.WriteString(s)
		_, err := f.WriteString(s)
		w.Must(err)
	}
	read := func(until int) {
		t.Helper()
		for got.Len() < until {
			name, text := l.next()
			if name != "text" {
				t.Fatalf("event %q after %d bytes, want %d", name, got.Len(), until)
			}
			got.WriteString(text)
		}
	}
	for i := range 300 {
		say(fmt.Sprintf("line %d\n", i))
		if i%50 == 49 { // cut off in the middle, and again
			read(want.Len() / 2)
			l.end()
			l = w.listen(token, path, l.last)
		}
	}
	say(strings.Repeat("x", 1<<20) + "\n" + "no end")
	read(want.Len() - len("no end"))
	w.Record(deploy.Event{Type: deploy.EventStageFinished, App: "shop", Deployment: 5, Stage: deploy.StageBuild, Outcome: deploy.OutcomePass})
	read(want.Len())
	if name, _ := l.next(); name != "end" {
		t.Errorf("at the end came %q", name)
	}
	if got.String() != want.String() {
		t.Errorf("read were %d bytes that are not the %d written", got.Len(), want.Len())
	}
}

// TestStreamEndsWithTheServer: a server that stops does not wait for those who watch.
func TestStreamEndsWithTheServer(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	w.Queued(5, "shop", "alice", "x")
	w.Record(deploy.Event{Type: deploy.EventStageStarted, App: "shop", Deployment: 5, Stage: deploy.StageBuild})
	w.pipeline.run(5, true)
	l := w.listen(w.token(controltest.Operator(), deploy.RoleViewer, ""), "/api/v1/deployments/5/logs/build/stream", "")
	close(w.stopping)
	if name, _ := l.next(); name != "" {
		t.Errorf("there came %q", name)
	}
}

// TestSlowReader: who reads nothing for long is disconnected, and has every line after coming again.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.App("shop")
	w.deployed(1, "shop", "alice", "x")
	var log strings.Builder
	for i := 0; log.Len() < 32<<20; i++ { // more than the kernel takes for a reader
		fmt.Fprintf(&log, "line %d %s\n", i, strings.Repeat("x", 1000))
	}
	w.write(1, "build.log", log.String())
	token, path := w.token(controltest.Operator(), deploy.RoleViewer, "shop"), "/api/v1/deployments/1/logs/build/stream"
	l := w.listen(token, path, "")
	<-time.After(13 * time.Second) // it may be slow for 10
	var got strings.Builder
	rest := func() (name string) {
		for {
			name, text := l.next()
			if name != "text" {
				return name
			}
			got.WriteString(text)
		}
	}
	if name := rest(); name != "" || got.Len() == 0 || got.Len() >= log.Len() {
		t.Errorf("%q after %d bytes of %d: it was not disconnected", name, got.Len(), log.Len())
	}
	l = w.listen(token, path, l.last)
	if name := rest(); name != "end" || got.String() != log.String() {
		t.Errorf("%q after %d bytes of %d", name, got.Len(), log.Len())
	}
}

// TestStreamIsSoon: what is written is read soon, by the median of many.
func TestStreamIsSoon(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	w.Queued(5, "shop", "alice", "x")
	w.Record(deploy.Event{Type: deploy.EventStageStarted, App: "shop", Deployment: 5, Stage: deploy.StageBuild})
	w.pipeline.run(5, true)
	w.write(5, "build.log", "begin\n")
	l := w.listen(w.token(controltest.Operator(), deploy.RoleViewer, ""), "/api/v1/deployments/5/logs/build/stream", "")
	l.next()
	f, err := os.OpenFile(filepath.Join(w.Layout.Deployment(5), "build.log"), os.O_APPEND|os.O_WRONLY, 0)
	w.Must(err)
	defer f.Close()
	soon := 0
	var sum time.Duration
	for range 50 {
		begin := time.Now()
		_, err := f.WriteString("line\n")
		w.Must(err)
		l.next()
		took := time.Since(begin)
		if sum += took; took <= 50*time.Millisecond {
			soon++
		}
	}
	t.Logf("from disk to reader: %s on average", sum/50)
	if soon < 25 {
		t.Errorf("%d of 50 lines were read within 50 ms", soon)
	}
}

// FuzzQuery: no query makes the server fail.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"app=shop&limit=3", "since=2026-01-01T00:00:00Z&text=%25", "before=9223372036854775807", "revision=a&status=x", "limit=1e3", ";", "%zz", "text=%00%ff", "bypassed=maybe", "ref=refs/heads/main", "weeks=156&app=shop"} {
		f.Add(seed)
	}
	w := newWorld(f)
	w.App("shop")
	w.Queued(1, "shop", "alice", "x")
	token := w.token(controltest.Operator(), deploy.RoleViewer, "")
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/deployments", "/events", "/stats", "/apps/shop/freeze"} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1"+path, nil)
			r.URL.RawQuery = query
			r.Header.Set("Authorization", "Bearer "+token)
			out := httptest.NewRecorder()
			w.server.Config.Handler.ServeHTTP(out, r)
			if out.Code >= 500 || out.Code == 401 {
				t.Errorf("%s?%s: %d %s", path, query, out.Code, out.Body)
			}
		}
	})
}
