// Package retention keeps the data directory from growing without bounds, and refuses pushes for which
// there is no room.
//
// What it removes, by age and count: logs of old deployments, revisions that were not accepted, objects
// that no ref reaches, and what a build cache holds beyond its limit. It never touches what serves, the
// good release before it, or anything of a deployment in flight. Releases are pruned where they are
// made, by the manifest's keep_releases. Every removal is recorded before it is done. The audit log is
// never pruned.
//
// Start reading at [Keeper.Run] and [Keeper.Room].
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"slipway/deploy"
)

// Records answer from what was recorded.
type Records interface {
	Apps(context.Context) ([]deploy.App, error)
	Deployment(context.Context, deploy.Number) (deploy.Deployment, error)
	TargetState(context.Context, deploy.Target) (deploy.TargetState, error)
}

// Recorder writes an event to the audit log, synced, before it returns.
type Recorder interface {
	Record(context.Context, deploy.Event) (deploy.Event, error)
}

// Repositories are all repositories.
type Repositories interface {
	// Kept lists the deployments whose revisions have a ref of their own.
	Kept(context.Context, deploy.AppName) ([]deploy.Number, error)
	// Forget takes these refs away.
	Forget(context.Context, deploy.AppName, ...deploy.Number) error
	// Maintain makes the repository quick to read; it removes nothing.
	Maintain(context.Context, deploy.AppName) error
	// Prune removes objects that no ref reaches and that are older than grace.
	Prune(ctx context.Context, app deploy.AppName, grace time.Duration) error
}

// Pipeline is what deploys.
type Pipeline interface {
	// WhenIdle runs work while no deployment of the target can begin, unless one is in flight.
	WhenIdle(t deploy.Target, work func() error) (ran bool, err error)
	// InFlight tells whether the deployment is in work or waits, or is put into production again by one
	// that is.
	InFlight(deploy.Number) bool
}

// Policy says how much is kept.
type Policy struct {
	Logs     time.Duration // logs and rejected revisions of deployments that ended longer ago go
	Rejected int           // this many of an app's newest revisions that were not accepted stay
	Cache    int64         // bytes of an app's build cache
	MinFree  int64         // bytes that must be free for a push
}

// Config is what a [Keeper] needs. Every field is needed.
type Config struct {
	Layout       deploy.Layout
	Policy       Policy
	Records      Records
	Recorder     Recorder
	Reserve      *Reserve
	Repositories Repositories
	Pipeline     Pipeline
	// DropSpare removes what was made of an app ahead of time.
	DropSpare func(context.Context, deploy.AppName) error
	Logger    *slog.Logger
}

// Keeper does the housekeeping of a data directory. It is safe for concurrent use.
type Keeper struct {
	config Config
	short  chan struct{} // has a token when a push found too little room

	mu   sync.Mutex
	took map[deploy.AppName]measured
}

// New returns a keeper. It starts and touches nothing.
func New(c Config) *Keeper {
	return &Keeper{config: c, short: make(chan struct{}, 1), took: map[deploy.AppName]measured{}}
}

const (
	// interval is how often everything is looked through.
	interval = 24 * time.Hour
	// grace is how long objects that no ref reaches stay: those of a push being decided are among them.
	grace = 14 * 24 * time.Hour
	// shortGrace is grace where room is short. No app with a deployment in flight is pruned then.
	shortGrace = time.Hour
)

// Run does the housekeeping at once, every day, and when a push found too little room, until ctx ends.
// What fails is logged and tried again the next time.
func (k *Keeper) Run(ctx context.Context) error {
	daily := time.NewTicker(interval)
	defer daily.Stop()
	short := false
	for {
		if err := k.Tidy(ctx, short); err != nil && ctx.Err() == nil {
			k.config.Logger.Error("housekeeping", "error", err)
		}
		select {
		case <-daily.C:
			short = false
		case <-k.short:
			short = true
		case <-ctx.Done():
			return nil
		}
	}
}

// Tidy does the housekeeping once. Where room is short it also gives up what only saves time.
func (k *Keeper) Tidy(ctx context.Context, short bool) error {
	apps, err := k.config.Records.Apps(ctx)
	if err != nil {
		return fmt.Errorf("listing apps: %w", err)
	}
	var failures []error
	for _, app := range apps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := k.tidyApp(ctx, app, short); err != nil {
			failures = append(failures, fmt.Errorf("app %s: %w", app.Name, err))
		}
	}
	return errors.Join(append(failures, k.pruneLogs(ctx, apps), k.config.Reserve.Fill())...)
}

func (k *Keeper) tidyApp(ctx context.Context, app deploy.App, short bool) error {
	var failures []error
	if short {
		failures = append(failures, k.config.DropSpare(ctx, app.Name))
	}
	failures = append(failures, k.boundCache(ctx, app), k.forgetRejected(ctx, app), k.pruneObjects(ctx, app, short))
	if !short {
		// Not before pruning, and not for want of room: it takes some, and an object is as young as the pack
		// to which it was moved.
		failures = append(failures, k.config.Repositories.Maintain(ctx, app.Name))
	}
	return errors.Join(append(failures, k.measure(ctx, app))...)
}

func (k *Keeper) pruneObjects(ctx context.Context, app deploy.App, short bool) error {
	if !short {
		return k.config.Repositories.Prune(ctx, app.Name, grace)
	}
	_, err := k.config.Pipeline.WhenIdle(targetOf(app), func() error {
		return k.config.Repositories.Prune(ctx, app.Name, shortGrace)
	})
	return err
}

func targetOf(app deploy.App) deploy.Target {
	return deploy.Target{App: app.Name, Environment: deploy.Production}
}

// record says what is about to be removed. What cannot be recorded is not done.
func (k *Keeper) record(ctx context.Context, what deploy.EventType, app deploy.AppName, data deploy.PrunedData) error {
	event := deploy.Event{Type: what, Actor: deploy.ServerActor("prune"), App: app}.WithData(data)
	if _, err := k.config.Recorder.Record(ctx, event); err != nil {
		return fmt.Errorf("recording %s: %w", what, err)
	}
	k.config.Logger.Info("pruning", "what", what, "app", app, "deployments", len(data.Deployments), "bytes", data.Bytes, "entries", data.Entries)
	return nil
}
