package sandbox

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "42 (evil ) R 1 (x) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 3 4 20 0 5 0 1000 1000000 200"
	parent, p, ok := parseStat([]byte(line))
	if !ok || parent != 7 || p.threads != 5 || p.cpu != 400*time.Millisecond {
		t.Errorf("%d %+v %t", parent, p, ok)
	}
	for _, bad := range []string{"", "42", "42 (x)", "42 (x) Z 7 42 42 0 -1 4194304 100 0 0 0 11 22 3 4 20 0 5 0", "42 (x) S 7"} {
		if _, _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestTableKnowsUs(t *testing.T) {
	table, err := readTable()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(table.tree(os.Getppid()), os.Getpid()) {
		t.Error("we are not among our parent's children")
	}
	usage, threads := table.usage([]int{os.Getpid()})
	if usage.Memory == 0 || threads < 2 {
		t.Errorf("%+v, %d threads", usage, threads)
	}
}
