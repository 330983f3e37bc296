package pipeline

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"slipway/deploy"
)

// Config is what a pipeline is wired from. Every field is needed.
type Config struct {
	Layout    deploy.Layout
	Recorder  Recorder
	Records   Records
	History   History
	Refs      Refs
	Trees     Trees
	Builder   Builder
	Runner    Runner
	Local     Engine // instances on this machine
	External  Engine // the team's own command
	Releases  Releases
	Instances Instances
	Watcher   Watcher

	// Parse reads a slipway.toml, to refuse a broken one before anything is built.
	Parse func(name string, b []byte) (*deploy.Manifest, error)
	// Format writes a manifest as a slipway.toml.
	Format func(*deploy.Manifest) []byte

	// Ready says why an offer cannot be built or run here now, nil if all is well.
	Ready func(context.Context, deploy.Offer) error
	// Full tells whether the data directory's disk is full to the last bytes.
	Full func() bool

	Addresses   Addresses
	UndoTimeout time.Duration // for putting production back; not the pusher's to shorten
	Parallel    int           // test sets side by side
	PutOff      time.Duration // how long after a verdict what nobody waits for begins
	Logger      *slog.Logger
}

// Addresses are what a pusher is told to type.
type Addresses struct {
	SSH   func() string               // the words after "ssh": "-p 2222 host"
	Clone func(deploy.AppName) string // ssh://host:2222/shop
	App   func(deploy.AppName) string // http://shop.localhost:8000
	Page  func(deploy.Number) string  // the deployment's page, "" for none
}

// Pipeline is the gate of all apps. Its methods are safe for concurrent use.
type Pipeline struct {
	Config
	queue *queue
	owed  owed

	mu       sync.Mutex
	last     deploy.Number // the newest number given; zero until the first is asked for
	running  map[deploy.Number]*deployment
	retiring []*retirement
	ending   sync.WaitGroup // what is done after a deployment's verdict: releases are drained and pruned
}

// New makes a pipeline. It starts nothing.
func New(c Config) *Pipeline {
	return &Pipeline{Config: c, queue: newQueue(), running: map[deploy.Number]*deployment{}}
}

// Wait returns when every release that was replaced has been drained and ended, or with ctx's error.
func (p *Pipeline) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { p.ending.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// engine picks where a manifest's releases run.
func (p *Pipeline) engine(m *deploy.Manifest) Engine {
	if m.External() {
		return p.External
	}
	return p.Local
}

// nextNumber gives the next deployment its number.
func (p *Pipeline) nextNumber(ctx context.Context) (deploy.Number, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == 0 {
		last, err := p.Records.LastNumber(ctx)
		if err != nil {
			return 0, err
		}
		p.last = last
	}
	p.last++
	return p.last, nil
}

// enter makes d findable by its number until the returned function is called.
func (p *Pipeline) enter(d *deployment) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[d.Number] = d
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.running, d.Number)
	}
}

// Cancel ends deployment n, queued or before its switch, on behalf of who. It returns a rejection
// if n is not running or has been switched.
func (p *Pipeline) Cancel(n deploy.Number, who deploy.Actor, reason string) error {
	p.mu.Lock()
	d, ok := p.running[n]
	p.mu.Unlock()
	if !ok {
		return deploy.Reject(deploy.CodeNotFound, "deployment %d is not running", n)
	}
	if !d.cancel(&canceledBy{who: who, reason: reason}) {
		return deploy.Reject(deploy.CodeCanceled, "deployment %d has been switched already: it runs to its verdict", n)
	}
	return nil
}

// Running tells whether deployment n is in work or waits.
func (p *Pipeline) Running(n deploy.Number) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.running[n]
	return ok
}

// InForce returns the release to which a target's traffic goes now: the candidate that is being
// watched, or else the release that was accepted last. Zero is none.
func (p *Pipeline) InForce(ctx context.Context, t deploy.Target) (deploy.Number, error) {
	p.mu.Lock()
	for _, d := range p.running {
		if d.Target() == t && d.inForce.Load() {
			p.mu.Unlock()
			return d.Release(), nil
		}
	}
	p.mu.Unlock()
	state, err := p.Records.TargetState(ctx, t)
	return state.Serving, err
}

// Queue lists who is being deployed and who waits, target by target.
func (p *Pipeline) Queue() []deploy.Waiting { return p.queue.list() }
