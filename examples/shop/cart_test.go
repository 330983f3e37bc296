package main

import "testing"

func TestTotal(t *testing.T) {
	for _, test := range []struct {
		name string
		cart []line
		want int
	}{
		{"empty", nil, 0},
		{"one mug", []line{{"mug", 1200, 1}}, 1200},
		{"two mugs and a bag", []line{{"mug", 1200, 2}, {"bag", 500, 1}}, 2900},
	} {
		if got := total(test.cart); got != test.want {
			t.Errorf("total of %s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestEuros(t *testing.T) {
	if got := euros(2905); got != "€ 29.05" {
		t.Errorf("got %q", got)
	}
}
