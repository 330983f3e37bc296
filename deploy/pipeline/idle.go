package pipeline

import "slipway/deploy"

// WhenIdle runs work while no deployment of the target can begin; a push that comes meanwhile waits for
// it. If a deployment is in work or waits, work is not run.
func (p *Pipeline) WhenIdle(t deploy.Target, work func() error) (ran bool, err error) {
	place := &ticket{target: t, user: "slipway"}
	if !p.queue.joinIdle(place) {
		return false, nil
	}
	defer p.queue.leave(place)
	return true, work()
}
