package sandbox

import (
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB", 256 << 20: "256 MiB", 1 << 30: "1 GiB", 3 << 39: "1.5 TiB",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		5 * time.Second: "5s", 5 * time.Minute: "5m", 90 * time.Second: "1m30s", time.Hour: "1h", time.Hour + 5*time.Minute: "1h5m",
		10 * time.Minute: "10m", 20 * time.Second: "20s", 300 * time.Millisecond: "300ms", 10 * time.Hour: "10h",
	} {
		if got := formatSpan(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, v := range []string{"0.7.9", "0.6.1", "0", "0.8"} {
		if !older(v, needed) {
			t.Errorf("%s is not older", v)
		}
	}
	for _, v := range []string{"0.8.0", "0.8.1", "0.11.0", "1.0.0", "what"} {
		if older(v, needed) {
			t.Errorf("%s is older", v)
		}
	}
}
