//go:build bench

package main

import (
	"fmt"
	"testing"
	"time"

	"slipway/deploy"
)

// benchTree measures pushes of a large tree of which one file has changed.
func benchTree(t *testing.T, p *place, r *report) {
	p.slipway(t, "app", "create", "tree")
	w := p.newTree(t, "tree", benchManifest)
	fastImport(t, p, w.dir, "refs/heads/large", *benchFiles, 400, [2]string{"slipway.toml", benchManifest})
	w.git("checkout", "-q", "large")
	w.git("branch", "-M", "main")
	w.git("remote", "add", "slipway", p.url("tree"))
	w.push("slipway")
	first := p.records(t)
	var whole, checkout, release, rest figures
	for range 3 {
		w.commit()
		p.settled(t, 1)
		begin := time.Now()
		w.push("slipway")
		whole.add(time.Since(begin))
		d := p.records(t)
		stages := d[last(d)].stages
		checkout.add(stages[deploy.StageCheckout])
		release.add(stages[deploy.StageRelease])
		rest.add(stages[deploy.StageBuild] + stages["test.unit"])
	}
	s := r.section(fmt.Sprintf("A tree of %d files", *benchFiles), "", "first push", "one file changed")
	s.note("Of 400 bytes each, in 1000 to a folder. The first push holds all of them, the others one more commit.")
	at := first[last(first)].stages
	seconds := func(d time.Duration) string { return digits(float64(d)/1e6) + " ms" }
	s.row("stage checkout", seconds(at[deploy.StageCheckout]), checkout.String())
	s.row("stages build and test, both `true`", seconds(at[deploy.StageBuild]+at["test.unit"]), rest.String())
	s.row("stage release", seconds(at[deploy.StageRelease]), release.String())
	s.row("the whole `git push`", "", whole.String())
	p.removeApp(t, "tree")
	p.settled(t, 0)
}
