package gitserver_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Each iteration is a push of one small commit through a gate that only moves the ref, as a person
// with the ordinary git and ssh sees it. The median is of more use than the mean on a busy machine.
func BenchmarkSmallPush(b *testing.B) {
	w := newWorld(b, "sha1")
	alice := w.alice(b)
	alice.start("sha1")
	alice.git("push", "-q", "production", "main")
	took := measure(b, more(alice), func() { alice.git("push", "-q", "production", "main") })
	b.ReportMetric(float64(took.Microseconds())/1000, "ms/median")
}

// For comparison: the same into a repository on this machine, without any server.
func BenchmarkLocalPush(b *testing.B) {
	w := newWorld(b, "sha1")
	alice := w.alice(b)
	alice.start("sha1")
	alice.git("remote", "add", "local", w.store.Dir(shop))
	took := measure(b, more(alice), func() { alice.git("push", "-q", "local", "main") })
	b.ReportMetric(float64(took.Microseconds())/1000, "ms/median")
}

func BenchmarkLsRemote(b *testing.B) {
	w := newWorld(b, "sha1")
	alice := w.alice(b)
	alice.start("sha1")
	alice.git("push", "-q", "production", "main")
	took := measure(b, func() {}, func() { alice.git("ls-remote", "production") })
	b.ReportMetric(float64(took.Microseconds())/1000, "ms/median")
}

// more returns what makes another commit.
func more(p *person) func() {
	n := 0
	return func() { n++; p.commit(fmt.Sprint("commit ", n)) }
}

func measure(b *testing.B, prepare, work func()) time.Duration {
	var all []time.Duration
	for b.Loop() {
		b.StopTimer()
		prepare()
		b.StartTimer()
		begin := time.Now()
		work()
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
