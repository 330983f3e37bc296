package main

import "fmt"

// line is one kind of thing in a cart. Prices are in cents.
type line struct {
	name     string
	price    int
	quantity int
}

// total adds up what a cart costs, in cents.
func total(cart []line) int {
	sum := 0
	for _, l := range cart {
		sum += l.price * l.quantity
	}
	return sum
}

// euros writes cents as people do.
func euros(cents int) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) }
