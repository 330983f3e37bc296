package main

import (
	"slices"
	"testing"
)

// TestFlagsAnywhere: flags stand before, between or after the names, and a reason that came through ssh
// without its quotes is put together again.
func TestFlagsAnywhere(t *testing.T) {
	for _, c := range []struct {
		args        []string
		least, most int
		names       []string // nil: an error
		reason      string
	}{
		{[]string{"shop", "-reason", "slow"}, 1, 2, []string{"shop"}, "slow"},
		{[]string{"-reason", "slow", "shop"}, 1, 2, []string{"shop"}, "slow"},
		{[]string{"-reason=slow", "shop", "2"}, 1, 2, []string{"shop", "2"}, "slow"},
		{[]string{"shop", "-reason", "slow", "2"}, 1, 2, []string{"shop", "2"}, "slow"},
		{[]string{"shop", "-reason", "it", "is", "too", "slow"}, 1, 2, []string{"shop"}, "it is too slow"},
		{[]string{"shop", "2", "-reason", "it", "is", "slow"}, 1, 2, []string{"shop", "2"}, "it is slow"},
		{[]string{"5", "-reason", "that", "takes", "long"}, 1, 1, []string{"5"}, "that takes long"},
		{[]string{"shop", "2", "3"}, 1, 2, nil, ""},
		{[]string{}, 1, 2, nil, ""},
		{[]string{"shop", "-nonsense"}, 1, 2, nil, ""},
		{[]string{"--", "-shop"}, 1, 1, []string{"-shop"}, ""},
	} {
		f := newFlags("rollback")
		reason := f.String("reason", "", "")
		names, err := f.parse(c.args, c.least, c.most)
		if (err != nil) != (c.names == nil) || !slices.Equal(names, c.names) || err == nil && *reason != c.reason {
			t.Errorf("%q: names %q, reason %q, error %v", c.args, names, *reason, err)
		}
	}
}
