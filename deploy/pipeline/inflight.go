package pipeline

import "slipway/deploy"

// InFlight tells whether a deployment is in work or waits, or whether one that is puts it into production
// again. What is kept of it must stay then.
func (p *Pipeline) InFlight(n deploy.Number) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.running {
		if d.Number == n || d.Again != nil && d.Again.Of == n {
			return true
		}
	}
	return false
}

// releasesInFlight are those of a target's deployments in work and waiting. A roll back has a release from
// the beginning.
func (p *Pipeline) releasesInFlight(t deploy.Target) []deploy.Number {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []deploy.Number
	for _, d := range p.running {
		if d.Target() == t {
			all = append(all, d.Release())
		}
	}
	return all
}
