package monitor

import (
	"slices"

	"slipway/deploy"
)

// add puts the traffic of two instances together.
func add(a, b deploy.TrafficCounts) deploy.TrafficCounts {
	const newest = 1000
	a.Requests += b.Requests
	a.InFlight += b.InFlight
	for i := range a.ByClass {
		a.ByClass[i] += b.ByClass[i]
	}
	a.Latencies = slices.Concat(a.Latencies, b.Latencies)
	a.Latencies = a.Latencies[:min(len(a.Latencies), newest)]
	return a
}

// since is what was counted after before. Counts that went down were started anew, so all of them are
// new.
func since(now, before deploy.TrafficCounts) deploy.TrafficCounts {
	d := deploy.TrafficCounts{Requests: now.Requests - before.Requests, InFlight: now.InFlight}
	anew := d.Requests < 0
	for i := range d.ByClass {
		d.ByClass[i] = now.ByClass[i] - before.ByClass[i]
		anew = anew || d.ByClass[i] < 0
	}
	if anew {
		d.Requests, d.ByClass = now.Requests, now.ByClass
	}
	return d
}

// failed counts the requests that the instance is to blame for: answered with 5xx, or not at all.
func failed(c deploy.TrafficCounts) int64 { return c.ByClass[5] + c.ByClass[0] }

// answered counts the requests that have ended.
func answered(c deploy.TrafficCounts) int64 {
	var n int64
	for _, class := range c.ByClass {
		n += class
	}
	return n
}
