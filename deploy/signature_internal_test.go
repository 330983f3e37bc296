package deploy

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestNormalised: what differs from one time to the next is masked, and what tells the cause is not.
func TestNormalised(t *testing.T) {
	for line, want := range map[string]string{
		"--- FAIL: TestTotal (0.00s)":                                       "--- FAIL: TestTotal (<duration>)",
		"    cart_test.go:12: got 3, want 2":                                "cart_test.go:<n>: got <n>, want <n>",
		"/tmp/work/42/shop/cart.go:7:3: undefined: total":                   "<path>:<n>:<n>: undefined: total",
		"./cart.go:7: x":                                                    "<path>:<n>: x",
		"panic: runtime error at 0xc000123abc":                              "panic: runtime error at <addr>",
		"2026-11-22T12:00:01.123Z ERROR no such table":                      "<time> ERROR no such table",
		"2026/11/22 12:00:01 no such table":                                 "<time> no such table",
		"[12:00:01] boom":                                                   "[<time>] boom",
		"dial tcp 127.0.0.1:54321: connection refused":                      "dial tcp <addr>: connection refused",
		"dial tcp [::1]:54321: connection refused":                          "dial tcp <addr>: connection refused",
		"request 550e8400-e29b-41d4-a716-446655440000 failed":               "request <uuid> failed",
		"commit 3f2c9e1b not found":                                         "commit <hex> not found",
		"rm 'tmp.Xk3jf9aa': no such file":                                   "rm '<tmp>': no such file",
		`open "/var/tmp/go-build12/b001/x": denied`:                         `open "<path>": denied`,
		"GET https://proxy.example.org/a/@v/v1.2.3.zip: 503":                "GET <url>: <n>",
		"finished in 5.3 seconds, 12ms, 1h2m3s":                             "finished in <duration>, <duration>, <duration>",
		"\x1b[31mError:\x1b[0m\tCannot find module 'left-pad'\r":            "Error: Cannot find module 'left-pad'",
		"deadbeef facade decade":                                            "deadbeef facade decade",
		"test set \"unit\" failed (exit status 1)":                          `test set "unit" failed (exit status <n>)`,
		"5.2% of requests answered 5xx, and 1,024 of them more than 1.5 MB": "<n>% of requests answered <n>xx, and <n> of them more than <n> MB",
		"": "",
	} {
		if got := normalised(line); got != want {
			t.Errorf("%q\n got %q\nwant %q", line, got, want)
		}
	}
}

func TestSignature(t *testing.T) {
	failed := func(tail ...string) *Rejection {
		return &Rejection{Message: `test set "unit" failed (exit status 1)`, Tail: tail}
	}
	alike := [][2]*Rejection{
		{failed("$ make test", "ok  shop/a 0.01s", "--- FAIL: TestTotal (0.00s)", "    cart_test.go:12: got 3, want 2"),
			failed("$ make test", "ok  shop/a 0.31s", "ok  shop/b 7s", "--- FAIL: TestTotal (0.02s)", "    cart_test.go:19: got 4, want 2")},
		{failed("listening on 127.0.0.1:4321", "done"), failed("listening on 127.0.0.1:99", "done")},
	}
	for _, pair := range alike {
		if a, b := pair[0].Signature(), pair[1].Signature(); a != b {
			t.Errorf("these are the same failure:\n%s\n\n%s", a, b)
		}
	}
	if a, b := failed("--- FAIL: TestTotal (0.00s)").Signature(), failed("--- FAIL: TestTax (0.00s)").Signature(); a == b {
		t.Errorf("two tests that fail look the same: %s", a)
	}
	if got, want := failed().Signature(), `test set "unit" failed (exit status <n>)`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzSignature(f *testing.F) {
	f.Add("test failed", "a.go:12: \x1b[31mwant 0x12\n/tmp/x 12ms")
	f.Add("\xff\x1b[", "é/é/1.1.1.1:1 2026-11-22T1")
	f.Add("550e8400-e29b-41d4-a716-446655440000", "tmp.1 \u0085 "+strings.Repeat("9", 5000))
	f.Fuzz(func(t *testing.T, message, output string) {
		r := Rejection{Message: message, Tail: strings.Split(output, "\n")}
		got := r.Signature()
		if got != r.Signature() {
			t.Errorf("%q has two signatures", output)
		}
		if len(got) > maxSignature || !utf8.ValidString(got) {
			t.Errorf("%d bytes, or no UTF-8: %q", len(got), got)
		}
		if strings.ContainsAny(got, "0123456789") {
			t.Errorf("a number is left: %q", got)
		}
		if strings.ContainsFunc(got, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }) {
			t.Errorf("a control character is left: %q", got)
		}
		if strings.Count(got, "\n") > maxSignatureLines {
			t.Errorf("%d lines", strings.Count(got, "\n")+1)
		}
	})
}
