package audit_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"slipway/deploy/audit"
)

// BenchmarkAppend measures one event from the call to the disk. The goal is a median of at most 0.5 ms.
func BenchmarkAppend(b *testing.B) {
	l, err := audit.Open(b.TempDir(), audit.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		start := time.Now()
		if _, err := l.Append(context.Background(), event(n)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// unsynced is a log of n events for reading, written without waiting for the disk.
func unsynced(b *testing.B, n int) (string, *audit.Log) {
	dir := b.TempDir()
	l, err := audit.OpenUnsynced(dir, audit.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	for i := range n {
		if _, err := l.Append(context.Background(), event(i)); err != nil {
			b.Fatal(err)
		}
	}
	return dir, l
}

// BenchmarkVerify verifies 100,000 events an iteration.
func BenchmarkVerify(b *testing.B) {
	dir, _ := unsynced(b, 100_000)
	for b.Loop() {
		report, err := audit.Verify(context.Background(), dir)
		if err != nil || !report.OK() {
			b.Fatal(report.Findings, err)
		}
	}
}

// BenchmarkEvents reads 100,000 events an iteration.
func BenchmarkEvents(b *testing.B) {
	_, l := unsynced(b, 100_000)
	for b.Loop() {
		for _, err := range l.Events(1) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
