package release

import "testing"

// A port of an instance is never one that an outgoing connection of the host gets by itself, where there are
// enough others.
func TestPortsBeside(t *testing.T) {
	for _, test := range []struct{ low, high, first, count int }{
		{32768, 60999, 10000, 22768}, // Linux's own
		{10000, 20000, 20001, 45535},
		{5000, 9000, 10000, 55536},
		{15000, 61000, 10000, 5000},
		{9000, 64000, 64001, 1535},
		{1, 65535, 65536, 0},
	} {
		if first, count := portsBeside(test.low, test.high); first != test.first || count != test.count {
			t.Errorf("beside %d to %d: %d from %d on, want %d from %d on", test.low, test.high, count, first, test.count, test.first)
		}
	}
	low, high := outgoingPorts()
	first, count := portsBeside(low, high)
	for range 200 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if count >= enoughPorts && (port < first || port >= first+count || port >= low && port <= high) {
			t.Fatalf("port %d; outgoing connections have %d to %d", port, low, high)
		}
	}
}
