package release

import (
	"slipway/deploy"
	"slipway/deploy/keeper"
)

// Log follows what an instance says. It can be read on after the instance has been stopped.
func (e *Local) Log(i deploy.Instance) *keeper.Follower {
	return keeper.Follow(e.folder(i.App, i.Release, i.Process, i.Index))
}
