package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestBounded: what hostile output makes of a rejection still fits into one line of the audit log.
func TestBounded(t *testing.T) {
	r := Reject(CodeTest, "%s", strings.Repeat("é", 100_000)).WithHint("%s", strings.Repeat("h", 100_000))
	for range 1000 {
		r.Tail = append(r.Tail, strings.Repeat("t", 500))
	}
	r.Tail = append(r.Tail, "the last line")
	b := r.Bounded()
	encoded, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > 32<<10 {
		t.Errorf("%d bytes", len(encoded))
	}
	if got := b.Tail[len(b.Tail)-1]; got != "the last line" {
		t.Errorf("the tail ends with %q", got)
	}
	if !strings.HasSuffix(b.Message, "é…") {
		t.Errorf("the message ends with %q", b.Message[len(b.Message)-10:])
	}
	if len(r.Tail) != 1001 || len(r.Hint) != 100_000 {
		t.Error("the rejection itself was changed")
	}
}

func TestAsRejection(t *testing.T) {
	r := Reject(CodeBuild, "build failed")
	if got, ok := AsRejection(fmt.Errorf("stage: %w", r)); !ok || got != r {
		t.Errorf("got %v, %t", got, ok)
	}
	if _, ok := AsRejection(errors.New("disk on fire")); ok {
		t.Error("a fault is a rejection")
	}
}
