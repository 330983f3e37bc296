package webui

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"slipway/deploy"
)

// sent is an event as a browser gets it.
type sent struct {
	id, event, data string
}

// page43 is a page that a browser has loaded, as its script would keep it.
type page43 struct {
	address string // of its live events
	last    string // id
	lines   map[string][]int
	text    map[string][]string
	parts   map[string]string
	ended   bool
}

// load loads the page of the deployment.
func load(t *testing.T, server string) *page43 {
	t.Helper()
	body := page(t, server+"/deployments/43")
	p := &page43{lines: map[string][]int{}, text: map[string][]string{}, parts: map[string]string{}}
	p.read(t, body)
	if live := regexp.MustCompile(`data-live="([^"]*)"`).FindStringSubmatch(body); live != nil {
		p.address = server + html.UnescapeString(live[1])
	}
	return p
}

// read takes in the lines in a piece of HTML.
func (p *page43) read(t *testing.T, part string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "script" && n.FirstChild != nil {
			t.Error("a log line became a script")
		}
		if n.Type != html.ElementNode || n.Data != "li" {
			continue
		}
		for _, a := range n.Attr {
			if log, number, ok := strings.Cut(a.Val, ":"); ok && a.Key == "id" {
				i, err := strconv.Atoi(number)
				if err != nil {
					t.Fatal(err)
				}
				p.lines[log] = append(p.lines[log], i)
				p.text[log] = append(p.text[log], strings.TrimPrefix(text(n), number))
			}
		}
	}
}

// follow reads live events until most have come, the stream has ended, or ctx has.
func (p *page43) follow(ctx context.Context, t *testing.T, most int) {
	t.Helper()
	r := request(t, http.MethodGet, p.address, nil).WithContext(ctx)
	if p.last != "" {
		r.Header.Set("Last-Event-ID", p.last)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		if ctx.Err() == nil {
			t.Error(err)
		}
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%s, %s", res.Status, res.Header.Get("Content-Type"))
		return
	}
	in := bufio.NewReader(res.Body)
	for range most {
		e, err := readEvent(in)
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				t.Log(err)
			}
			return
		}
		p.take(t, e)
		if p.ended {
			return
		}
	}
}

// readEvent reads a whole event; a part of one is none.
func readEvent(in *bufio.Reader) (sent, error) {
	var e sent
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return sent{}, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data = value
		case "":
			if e.event != "" {
				return e, nil
			}
		}
	}
}

func (p *page43) take(t *testing.T, e sent) {
	t.Helper()
	p.last = e.id
	var data struct{ ID, HTML string }
	if err := json.Unmarshal([]byte(e.data), &data); err != nil {
		t.Fatalf("%q: %v", e.data, err)
	}
	switch e.event {
	case "lines", "log":
		p.read(t, data.HTML)
	case "part":
		p.parts[data.ID] = data.HTML
	case "end":
		p.ended = true
	}
}

// whole checks that the page has the lines 1 to n of a log, each once.
func (p *page43) whole(t *testing.T, log string, n int) {
	t.Helper()
	for i, number := range p.lines[log] {
		if number != i+1 {
			t.Errorf("%s: line %d stands at place %d", log, number, i+1)
			return
		}
		if want := fmt.Sprintf("%s line %d", log, number); p.text[log][i] != want {
			t.Errorf("%s: line %d is %q", log, number, p.text[log][i])
			return
		}
	}
	if len(p.lines[log]) != n {
		t.Errorf("%s: %d lines, want %d", log, len(p.lines[log]), n)
	}
}

// play writes logs as a deployment does, in pieces that end anywhere.
func (w *world) play(t *testing.T, lines int) {
	for _, stage := range []deploy.StageName{"build", "test.unit", "test.slow"} {
		w.begin(stage)
		var b strings.Builder
		for i := range lines {
			fmt.Fprintf(&b, "%s line %d\n", stage, i+1)
		}
		all := b.String()
		if stage == "test.slow" {
			all = strings.TrimSuffix(all, "\n") // the last line may have no end
		}
		pause := time.NewTicker(2 * time.Millisecond)
		for len(all) > 0 {
			n := min(len(all), 1+rand.IntN(len(b.String())/100+1))
			w.write(t, string(stage)+".log", all[:n])
			w.write(t, "transcript.log", "")
			all = all[n:]
			<-pause.C
		}
		pause.Stop()
		w.end(stage, deploy.OutcomePass)
	}
	w.reject(deploy.Reject(deploy.CodeTest, "it failed"), "test.slow")
}

// A page that is opened while a deployment goes on shows every line once: those so far, and those that
// follow, however often its connection is cut.
func TestFollowedWhileItGrows(t *testing.T) {
	const lines = 3000
	w := newWorld(t)
	server := w.serve(t)
	var all sync.WaitGroup
	for reader := range 6 {
		all.Go(func() {
			p := load(t, server.URL)
			late := time.NewTimer(time.Duration(reader) * 100 * time.Millisecond)
			<-late.C
			if reader%2 == 1 {
				p = load(t, server.URL)
			}
			limit := time.Now().Add(60 * time.Second)
			for !p.ended && p.address != "" && time.Now().Before(limit) {
				ctx, cut := context.WithTimeout(t.Context(), time.Duration(50+rand.IntN(400))*time.Millisecond)
				p.follow(ctx, t, 1+rand.IntN(30))
				cut()
			}
			for _, log := range []string{"build", "test.unit", "test.slow"} {
				p.whole(t, log, lines)
			}
			if p.address != "" && !strings.Contains(p.parts["head"], "Rejected: it failed.") {
				t.Errorf("the head at the end: %s", p.parts["head"])
			}
		})
	}
	w.play(t, lines)
	all.Wait()
}

// A hundred readers cost what one costs.
func TestReadersShare(t *testing.T) {
	const readers = 100
	w := newWorld(t)
	server := w.serve(t)
	w.begin("build")
	w.write(t, "build.log", "build line 1\n")
	pages := make([]*page43, readers)
	for i := range pages {
		pages[i] = load(t, server.URL)
	}
	w.change(func() { clear(w.asked) })
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range pages {
		all.Go(func() { p.follow(ctx, t, 1_000_000) })
	}
	for i := range 2000 {
		w.write(t, "build.log", fmt.Sprintf("build line %d\n", i+2))
		if i%100 == 0 {
			<-time.After(50 * time.Millisecond)
		}
	}
	w.end("build", deploy.OutcomePass)
	w.reject(deploy.Reject(deploy.CodeBuild, "it failed"), "build")
	all.Wait()
	looks := 2 + int(time.Since(start)/lookInterval)
	for _, p := range pages {
		p.whole(t, "build", 2001)
	}
	w.change(func() {
		// Each reader's own rights are asked for once.
		if got := w.asked["Stages"] - readers; got > looks {
			t.Errorf("the records were read %d times in %d looks", got, looks)
		}
		if got := w.asked["LogPath"]; got > 3 {
			t.Errorf("%d paths were asked for", got)
		}
		t.Logf("%d readers for %s: records read %d times", readers, time.Since(start).Round(time.Millisecond), w.asked["Stages"]-readers)
	})
}

// What could do harm in a log does none on the way to a page.
func TestHostileLines(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	w.begin("build")
	p := load(t, server.URL)
	bomb := strings.Repeat("\x1b[31mx\x1b[1;42my\x1b[0m", 50_000)
	w.write(t, "build.log", "<script>alert(1)</script>\n"+strings.Repeat("x", 1<<20)+"\n"+bomb+"\n\x1b]0;title\x07\x1b[2J\u202eevil\x00\n"+strings.Repeat("\x1b[3", 9999)+"\nend\n")
	w.reject(deploy.Reject(deploy.CodeBuild, "<script>alert(2)</script>"), "build")
	p.follow(t.Context(), t, 1000)
	if !p.ended || len(p.lines["build"]) != 6 {
		t.Fatalf("%d lines", len(p.lines["build"]))
	}
	for i, l := range p.text["build"] {
		if len(l) > 20<<10 {
			t.Errorf("line %d has %d bytes", i+1, len(l))
		}
	}
	if got := p.text["build"]; got[0] != "<script>alert(1)</script>" || got[3] != "evil" || got[5] != "end" {
		t.Errorf("lines: %.60q %.60q %.60q", got[0], got[3], got[5])
	}
	p.read(t, p.parts["head"])
}

func TestPosition(t *testing.T) {
	p := position{logs: []place{{"build", follower{1234, 57, numberedStyle(styleNumber(numberedStyle(0x7fff)))}}, {"test.unit", follower{0, 1, numberedStyle(0)}}}, parts: []part{{"head", "abc"}}}
	if got := readPosition(p.String()); got.String() != p.String() || got.logs[0].follower != p.logs[0].follower {
		t.Errorf("%s became %s", p, got)
	}
	for _, s := range []string{"", ";;;", "build", "build=1:2", "build=-1:2:0", "build=1:0:0", "build=x:y:z", strings.Repeat("a=1:1:1;", 5000), "=", "~=", "build=99999999999999999999:1:0"} {
		if p := readPosition(s); len(p.logs) > 0 {
			t.Errorf("%.20q holds %v", s, p.logs)
		}
	}
}
