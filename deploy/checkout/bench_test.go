package checkout_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a push with one changed file waits for until its tree is there and belongs to the sandbox's
// user: whole, and from a spare. The time to make the spare and to remove the tree is not in it.
// BENCH_DIR is the file system to measure; the one for temporary files without it.
func BenchmarkCheckout(b *testing.B) {
	for _, files := range []int{100, 5_000, 100_000} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "slipway-bench-")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(dir)
			w := newWorld(b, dir)
			tree := make([]string, 0, 2*files)
			for i := range files {
				tree = append(tree, fmt.Sprintf("d%d/s%d/f%d.txt", i/1000, i/50%20, i), strings.Repeat(fmt.Sprintf("file %d\n", i), 20))
			}
			one := w.commit(tree...)
			two := w.commit("d0/s0/f0.txt", "changed")
			for _, from := range []string{"whole", "spare"} {
				b.Run("from="+from, func(b *testing.B) {
					for b.Loop() {
						b.StopTimer()
						if from == "spare" {
							w.spare(one)
						}
						job := w.job(two)
						b.StartTimer()
						if _, err := w.trees.Checkout(b.Context(), job); err != nil {
							b.Fatal(err)
						}
						b.StopTimer()
						if err := os.RemoveAll(filepath.Dir(job.Tree)); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
				})
			}
		})
	}
}
