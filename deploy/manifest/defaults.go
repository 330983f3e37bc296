package manifest

import (
	"time"

	"slipway/deploy"
)

// The defaults of a manifest. Limits that are not here are the server's.
const (
	defaultBuildTimeout = 10 * time.Minute
	defaultTestTimeout  = 5 * time.Minute
	defaultPlanTimeout  = 10 * time.Minute // of the release command, and of run and undo
	defaultHookTimeout  = 5 * time.Minute
)

// defaults is a manifest that says nothing.
//
// A share of 1 % errors is what the watch takes for healthy, and five times as much for broken: the
// pair with which a few requests give a verdict. There is no error pattern: what an app logs as an
// error is its own affair, and a pattern that guesses would reject good revisions.
func defaults() *deploy.Manifest {
	command := deploy.Step{Network: true, Limits: deploy.Limits{Timeout: defaultPlanTimeout}}
	hook := deploy.Step{Network: true, Limits: deploy.Limits{Timeout: defaultHookTimeout}}
	return &deploy.Manifest{
		Build: deploy.Step{Network: true, Limits: deploy.Limits{Timeout: defaultBuildTimeout}},
		Deploy: deploy.DeployPlan{
			Release:      command,
			ReadyTimeout: 30 * time.Second,
			DrainTimeout: 30 * time.Second,
			KeepReleases: 5,
			Run:          command,
			Undo:         command,
		},
		Hooks: deploy.Hooks{BeforeDeploy: hook, AfterAccept: hook, AfterReject: hook, AfterRollback: hook},
		Monitor: deploy.MonitorPlan{
			BakeTime:     15 * time.Second,
			Interval:     250 * time.Millisecond,
			MaxErrorRate: 0.01,
		},
	}
}

// defaultTest is a test set that says nothing: without network, so that it passes or fails by the
// revision alone.
func defaultTest() deploy.Step {
	return deploy.Step{Limits: deploy.Limits{Timeout: defaultTestTimeout}}
}
