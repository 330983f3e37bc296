package webui

import (
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
)

const (
	// lookInterval is how often a deployment that runs is looked at, however many watch it.
	lookInterval = 200 * time.Millisecond
	// drawInterval is how often the charts of a watch are drawn, and the audit events read.
	drawInterval = time.Second
)

// watches are the deployments that somebody watches now. What is seen of one is shared by all who do.
type watches struct {
	mu  sync.Mutex
	all map[deploy.Number]*watched
}

// join returns the watch of a deployment, and what to call when it is not needed any more.
func (v *watches) join(s *Site, n deploy.Number) (*watched, func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.all[n]
	if w == nil {
		w = &watched{site: s, number: n, paths: map[string]string{}}
		if v.all == nil {
			v.all = map[deploy.Number]*watched{}
		}
		v.all[n] = w
	}
	w.readers++
	return w, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if w.readers--; w.readers == 0 {
			delete(v.all, n)
		}
	}
}

// watched is a deployment that somebody watches. It is read by whoever asks first after [lookInterval]; the
// others get what that one saw.
type watched struct {
	site    *Site
	number  deploy.Number
	readers int // guarded by the watches' lock

	mu       sync.Mutex
	seen     *sighting
	paths    map[string]string // of the logs, and of the measurements
	measured measured
	drawn    string // the watch, as drawn last
	drawnAt  time.Time
	events   []deploy.Event // as read last
	eventsAt time.Time
	trail    livePart // of those events
	memo     memo
}

// sighting is what was seen of a deployment at one moment. It is not changed.
type sighting struct {
	*story
	at    time.Time
	sizes map[string]int64 // of the logs
	parts []livePart
}

// livePart is a part of a page that is replaced when it changes.
type livePart struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
	Open bool   `json:"open,omitempty"` // of a log: it has failed, and is to be read

	sum  string // of what it says, but for the time that passes
	push bool   // for those who may push
	read bool   // for those who may not
}

// itself is who reads what all share; the rights of each reader were checked.
func itself() deploy.Caller { return deploy.Caller{Actor: deploy.ServerActor("web"), Admin: true} }

// look returns what is to be seen now.
func (w *watched) look(ctx context.Context) (*sighting, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.site.Now()
	if w.seen != nil && (!w.seen.running || now.Sub(w.seen.at) < lookInterval) {
		return w.seen, nil
	}
	t, err := w.site.outline(ctx, itself(), w.number)
	if err == nil {
		err = w.addEvents(ctx, t, now)
	}
	if err != nil {
		return nil, err
	}
	seen := &sighting{story: t, at: now, sizes: map[string]int64{}}
	if err := w.measure(ctx, seen); err != nil {
		return nil, err
	}
	if seen.parts, err = w.draw(seen); err != nil {
		return nil, err
	}
	w.seen = seen
	return seen, nil
}

// addEvents adds the audit events, those that were read last if that is not long ago. Those of a deployment that
// has a verdict hold the reason, so they are always read.
func (w *watched) addEvents(ctx context.Context, t *story, now time.Time) error {
	if !t.Status.Final() && !w.eventsAt.IsZero() && now.Sub(w.eventsAt) < drawInterval {
		t.events = w.events
		return nil
	}
	err := w.site.addEvents(ctx, itself(), t)
	w.events, w.eventsAt = t.events, now
	return err
}

// measure looks how long the logs are, and reads what was measured since the last look.
func (w *watched) measure(ctx context.Context, seen *sighting) error {
	for _, name := range seen.logs() {
		path, err := w.path(name, func() (string, error) { return w.site.Control.LogPath(ctx, itself(), w.number, name) })
		if err != nil {
			return err
		}
		if info, err := os.Stat(path); err == nil {
			seen.sizes[name] = info.Size()
		}
	}
	if _, watching := seen.stage(string(deploy.StageMonitor)); !watching {
		return nil
	}
	path, err := w.path("", func() (string, error) { return w.site.Control.MeasurementsPath(ctx, itself(), w.number) })
	if err != nil {
		return err
	}
	return opened(path, func(f *os.File, size int64) error { return w.measured.read(f, size) })
}

// path returns a file's path, which does not change.
func (w *watched) path(name string, ask func() (string, error)) (string, error) {
	if path, known := w.paths[name]; known {
		return path, nil
	}
	path, err := ask()
	if err == nil {
		w.paths[name] = path
	}
	return path, err
}

// draw renders the parts of the page.
func (w *watched) draw(seen *sighting) ([]livePart, error) {
	p := &DeploymentPage{Frame: Frame{Now: seen.at}}
	p.Stages = timeline(seen.story, seen.at)
	var parts []livePart
	for _, mayPush := range []bool{true, false} {
		w.site.head(p, seen.story, mayPush)
		actions, err := w.site.part("actions", "deployment", "actions", p)
		if err != nil {
			return nil, err
		}
		actions.push, actions.read = mayPush, !mayPush
		parts = append(parts, actions)
	}
	head, err := w.site.part("head", "deployment", "verdict", p)
	if err != nil {
		return nil, err
	}
	for _, name := range seen.logs() {
		l := w.site.logHead(seen.story, name)
		state, err := w.site.part("state-"+name, "deployment", "log-state", l)
		if err != nil {
			return nil, err
		}
		state.Open = l.Open && !l.Live
		parts = append(parts, state)
	}
	stages, err := w.site.part("stages", "deployment", "timeline", p)
	if err != nil {
		return nil, err
	}
	trail, err := w.trailPart(seen, p)
	if err != nil {
		return nil, err
	}
	watch, err := w.watchPart(seen, p)
	return append(parts, head, stages, watch, trail), err
}

// trailPart writes the audit events if there are others than before.
func (w *watched) trailPart(seen *sighting, p *DeploymentPage) (livePart, error) {
	if w.seen != nil && w.seen.newest() == seen.newest() {
		return w.trail, nil
	}
	var err error
	p.Events = eventRows(seen.events)
	w.trail, err = w.site.part("trail", "deployment", "events", p)
	return w.trail, err
}

// watchPart draws the watch, not as often as it is measured.
func (w *watched) watchPart(seen *sighting, p *DeploymentPage) (livePart, error) {
	if w.drawnAt != (time.Time{}) && seen.running && seen.at.Sub(w.drawnAt) < drawInterval {
		return newPart("watched", w.drawn), nil
	}
	p.watched(seen.story, &w.measured)
	part, err := w.site.part("watched", "deployment", "watched", p)
	w.drawn, w.drawnAt = part.HTML, seen.at
	return part, err
}

// part renders a part of a page.
func (s *Site) part(id, page, template string, view any) (livePart, error) {
	var b strings.Builder
	err := s.pages.fragment(&b, page, template, view)
	return newPart(id, b.String()), err
}

// passing is the time that has passed, which a script lets go on by itself.
var passing = regexp.MustCompile(`data-elapsed="[^"]*">[^<]*<`)

func newPart(id, html string) livePart {
	return livePart{ID: id, HTML: html, sum: sumOf(passing.ReplaceAllString(html, "")), push: true, read: true}
}

// chunk returns lines of a log after a place, as HTML, with the place after them.
func (w *watched) chunk(seen *sighting, log string, from follower) (chunk, error) {
	size, ended := seen.sizes[log], seen.ended(log)
	if from.offset >= size {
		return chunk{end: from}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := memoKey{log, from}
	if c, ok := w.memo.get(key); ok && (c.html != "" || c.size == size && c.ended == ended) {
		return c, nil
	}
	c := chunk{end: from, size: size, ended: ended}
	err := opened(w.paths[log], func(f *os.File, _ int64) error {
		lines, err := c.end.read(f, size, ended)
		c.html = string(blocks(log, lines))
		return err
	})
	if err == nil {
		w.memo.put(key, c)
	}
	return c, err
}

// chunk is a piece of a log.
type chunk struct {
	html  string // "" if there is no whole line
	end   follower
	size  int64 // of the log when it was read
	ended bool
}

// memo keeps the chunks that were read last: those who follow a log ask for the same ones.
type memo struct {
	chunks map[memoKey]chunk
	order  []memoKey // oldest first
}

type memoKey struct {
	log  string
	from follower
}

// maxMemo bounds the chunks that are kept.
const maxMemo = 32

func (m *memo) get(k memoKey) (chunk, bool) {
	c, ok := m.chunks[k]
	return c, ok
}

func (m *memo) put(k memoKey, c chunk) {
	if m.chunks == nil {
		m.chunks = map[memoKey]chunk{}
	}
	if _, known := m.chunks[k]; !known {
		if len(m.order) == maxMemo {
			delete(m.chunks, m.order[0])
			m.order = m.order[1:]
		}
		m.order = append(m.order, k)
	}
	m.chunks[k] = c
}
