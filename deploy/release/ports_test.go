package release

import (
	"fmt"
	"os"
	"testing"
)

// A port of an instance is never one that an outgoing connection of the host gets by itself.
func TestFreePortLasts(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	var low, high int
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil {
		t.Fatal(err)
	}
	if low < firstPort+1000 && high > 65535-1000 {
		t.Logf("outgoing connections may have any port here: %d to %d", low, high)
		return
	}
	for range 200 {
		port, err := freePort()
		if err != nil || port < firstPort || port >= low && port <= high {
			t.Fatalf("port %d, %v; outgoing connections have %d to %d", port, err, low, high)
		}
	}
}
