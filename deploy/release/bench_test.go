package release

import (
	"io"
	"testing"

	"slipway/deploy"
)

// How long it takes from a tested tree to an instance that is ready, for an app that listens at once.
func BenchmarkStart(b *testing.B) {
	if b.N > 1000 {
		b.Fatal("too many")
	}
	bench := newBench(b)
	n := deploy.Number(0)
	for b.Loop() {
		b.StopTimer()
		n++
		job := bench.job(n, "")
		b.StartTimer()
		if _, err := bench.Start(b.Context(), job, io.Discard); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := bench.Sweep(b.Context(), bench.target); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
