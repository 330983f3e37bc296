package sandbox

import "testing"

// TestFilterFits: the kernel takes programs of at most 4096 instructions of eight bytes.
func TestFilterFits(t *testing.T) {
	filter, err := makeFilter()
	if err != nil {
		t.Fatal(err)
	}
	if len(filter)%8 != 0 || len(filter) < 8*100 || len(filter) > 8*4096 {
		t.Errorf("%d bytes", len(filter))
	}
}
