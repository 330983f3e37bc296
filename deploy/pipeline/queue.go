package pipeline

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
)

// queue lets one deployment at a time per target work, in the order of arrival. It lives in memory
// only: whoever waits has a connection open, and loses its place with it.
type queue struct {
	mu    sync.Mutex
	lines map[deploy.Target][]*ticket // the first one works, the others wait
}

// ticket is a place in a target's line.
type ticket struct {
	number deploy.Number
	target deploy.Target
	user   deploy.UserName

	stage   deploy.StageName // guarded by queue.mu, as is since
	since   time.Time
	changed chan struct{} // has room for one; filled when something ahead changed
	left    chan struct{} // closed when the place has been given up
}

func newQueue() *queue { return &queue{lines: map[deploy.Target][]*ticket{}} }

// join takes the last place of the target's line.
func (q *queue) join(t *ticket) {
	t.changed, t.left = make(chan struct{}, 1), make(chan struct{})
	q.mu.Lock()
	defer q.mu.Unlock()
	t.since = time.Now()
	q.lines[t.target] = append(q.lines[t.target], t)
}

// joinIdle takes the first place of a line that is empty, and tells by false that it is not.
func (q *queue) joinIdle(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines[t.target]) > 0 {
		return false
	}
	t.changed, t.left, t.since = make(chan struct{}, 1), make(chan struct{}), time.Now()
	q.lines[t.target] = []*ticket{t}
	return true
}

// leave gives the place up. Whoever is next starts.
func (q *queue) leave(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(t.left)
	line := slices.DeleteFunc(q.lines[t.target], func(o *ticket) bool { return o == t })
	if len(line) == 0 {
		delete(q.lines, t.target)
		return
	}
	q.lines[t.target] = line
	notify(line)
}

// awaited tells whether somebody waits behind t.
func (q *queue) awaited(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.lines[t.target]
	return len(line) > 0 && line[len(line)-1] != t
}

// enterStage says in which stage the holder is.
func (q *queue) enterStage(t *ticket, s deploy.StageName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.stage, t.since = s, time.Now()
	notify(q.lines[t.target])
}

// poke wakes all who wait for a target, to look again whether they still can be accepted.
func (q *queue) poke(t deploy.Target) {
	q.mu.Lock()
	defer q.mu.Unlock()
	notify(q.lines[t])
}

func notify(line []*ticket) {
	for _, t := range line {
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
}

// ahead returns copies of the tickets before t, the working one first. None: it is t's turn.
func (q *queue) ahead(t *ticket) []ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	var before []ticket
	for _, o := range q.lines[t.target] {
		if o == t {
			break
		}
		before = append(before, ticket{number: o.number, user: o.user, stage: o.stage, since: o.since})
	}
	return before
}

func (q *queue) list() []deploy.Waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []deploy.Waiting
	for target, line := range q.lines {
		for place, t := range line {
			if t.number == 0 {
				continue // the server itself, for a moment
			}
			all = append(all, deploy.Waiting{Number: t.number, Target: target, User: t.user, Place: place, Stage: t.stage, Since: t.since})
		}
	}
	slices.SortFunc(all, func(a, b deploy.Waiting) int {
		if c := strings.Compare(a.Target.String(), b.Target.String()); c != 0 {
			return c
		}
		return a.Place - b.Place
	})
	return all
}

// wait blocks until it is t's turn. Whenever something ahead changed it calls still, which may end
// the waiting with an error; show is told who is ahead then, and every interval.
func (q *queue) wait(ctx context.Context, t *ticket, interval time.Duration, still func() error, show func([]ticket)) error {
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		before := q.ahead(t)
		if len(before) == 0 {
			return nil
		}
		if err := still(); err != nil {
			return err
		}
		show(before)
		select {
		case <-t.changed:
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
