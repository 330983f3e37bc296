package pipeline

import (
	"context"
	"io"
	"time"

	"slipway/deploy"
)

// Recorder writes an event to the audit log, synced, before it returns. What cannot be recorded is
// not done.
type Recorder interface {
	Record(context.Context, deploy.Event) (deploy.Event, error)
}

// Records answers from what was recorded.
type Records interface {
	LastNumber(context.Context) (deploy.Number, error)
	TargetState(context.Context, deploy.Target) (deploy.TargetState, error)
	App(context.Context, deploy.AppName) (deploy.App, error)
	Deployment(context.Context, deploy.Number) (deploy.Deployment, error)
}

// History lists what a starting server has to settle.
type History interface {
	Unfinished(context.Context) ([]deploy.Deployment, error)
	Apps(context.Context) ([]deploy.App, error)
}

// Refs are the refs of all repositories.
type Refs interface {
	// Resolve returns the ref's value, "" where it is missing.
	Resolve(context.Context, deploy.AppName, deploy.RefName) (deploy.OID, error)
	// Prepare locks the ref and checks its old value; a [deploy.Rejection] with CodeStale if that
	// is not what the update says.
	Prepare(context.Context, deploy.AppName, deploy.RefUpdate) (deploy.RefTransaction, error)
	Revision(deploy.AppName, deploy.OID) deploy.Revision
	// Keep makes the revision of a deployment readable at its own ref.
	Keep(context.Context, deploy.AppName, deploy.Number, deploy.OID) error
}

// Trees makes work trees.
type Trees interface {
	// Checkout makes job.Tree hold the job's revision and nothing else, in place of what was there. It
	// returns what the pusher should know of the tree.
	Checkout(ctx context.Context, job *deploy.Job) (notes []string, err error)
	// Ahead says from where the app's next checkout will likely begin. It returns at once.
	Ahead(deploy.App, deploy.OID)
}

// Builder turns a tree into what is deployed, and tests it.
type Builder interface {
	Read(ctx context.Context, tree string) (*deploy.Manifest, error)
	Build(ctx context.Context, job *deploy.Job, log io.Writer) error
	Test(ctx context.Context, job *deploy.Job, set deploy.TestSet, log io.Writer) error
}

// Runner runs a manifest's hook in the sandbox, and ends whatever a deployment left running in one.
type Runner interface {
	Run(ctx context.Context, job *deploy.Job, name string, step deploy.Step, vars map[string]string, log io.Writer) error
	End(context.Context, deploy.Number) error
	// EndAll is End of every deployment.
	EndAll(context.Context) error
}

// Engine puts releases into production. Each method may find its work half done by a server that was
// killed, and finishes it.
type Engine interface {
	// Start makes the release of a job from its tree, and its candidate, ready to serve. job.Tree
	// is the release's directory then. If it fails no process is left, but the tree is.
	Start(ctx context.Context, job *deploy.Job, log io.Writer) (deploy.Candidate, error)
	// Switch makes release to serve the target's traffic and returns when that is verified. Zero is
	// no release.
	Switch(ctx context.Context, t deploy.Target, from, to deploy.Number) error
	// Stop ends release n after its requests have ended, or after drain.
	Stop(ctx context.Context, t deploy.Target, n deploy.Number, drain time.Duration) error
	// Serving says where traffic really goes.
	Serving(context.Context, deploy.Target) (deploy.Number, error)
}

// Releases keeps the folders of an app's releases in order.
type Releases interface {
	// MarkCurrent points the app's current link at release n.
	MarkCurrent(deploy.AppName, deploy.Number) error
	// Remove deletes release n. It is no error if there is none.
	Remove(deploy.AppName, deploy.Number) error
	// Prune removes the releases but the newest keepN and those in keep. Before each of them it calls about,
	// whose error ends it.
	Prune(ctx context.Context, app deploy.AppName, keep []deploy.Number, keepN int, about func(deploy.Number) error) error
}

// Instances are the processes of all releases on this machine.
type Instances interface {
	// Instances lists those of release n.
	Instances(context.Context, deploy.Target, deploy.Number) ([]deploy.Instance, error)
	// Unkept tells whether release n lacks an instance, or one of its instances a keeper.
	Unkept(context.Context, deploy.Target, deploy.Number) (bool, error)
	// Restore starts what release n lacks and sends the target's traffic there, even where it is not
	// ready: what was accepted once is not given up.
	Restore(context.Context, deploy.Target, deploy.Number) error
	// Sweep ends the instances and removes the work trees of everything but keep.
	Sweep(ctx context.Context, t deploy.Target, keep ...deploy.Number) error
}

// Watcher watches a candidate under real traffic. If it does not decide it records only.
type Watcher interface {
	Watch(ctx context.Context, c deploy.Candidate, m *deploy.Manifest, decide bool, report func(deploy.Measurement)) (deploy.WatchResult, error)
}
