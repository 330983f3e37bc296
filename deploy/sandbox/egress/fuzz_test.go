package egress

import (
	"net"
	"net/netip"
	"testing"
)

// FuzzFind: whatever a client asks for, with everything allowed by wildcard nothing inside is let through.
func FuzzFind(f *testing.F) {
	for _, target := range []string{"a.test:443", "[::1]:80", "127.0.0.1:80", "127.1:80", "2130706433:80", "0x7f.1:80", "[::ffff:10.0.0.1]:1", "[fe80::1%lo]:80", "a.test:", ":80", "a..test:80", "a.test:http"} {
		f.Add(target, "127.0.0.1")
	}
	f.Fuzz(func(t *testing.T, target, answer string) {
		address, err := netip.ParseAddr(answer)
		if err != nil {
			t.Skip()
		}
		g := &guard{rules: rules{{suffix: true}}, resolver: &always{address}, own: net.InterfaceAddrs}
		r, err := g.find(t.Context(), target)
		if err != nil {
			return
		}
		if len(r.addresses) == 0 {
			t.Fatal("neither addresses nor an error")
		}
		for _, a := range r.addresses {
			ip := net.IP(a.Addr().AsSlice())
			if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
				t.Fatalf("%q leads to %v", target, a)
			}
		}
	})
}
