package webui

import (
	"testing"

	"slipway/deploy"
)

// What there is to worry about is said in one line, for a few apps by name.
func TestSafety(t *testing.T) {
	well, down := Dot{State: State{Class: "pass"}}, Dot{State: State{Class: "fail"}}
	bad := func(app string) Berth { return Berth{App: deploy.AppName(app), Drift: "release 1 serves"} }
	for want, berths := range map[string][]Berth{
		"all is well":                                     {{App: "shop", Instances: []Dot{well, well}}, {App: "intern"}},
		"look at shop (frozen)":                           {{App: "shop", Frozen: "it rains", Instances: []Dot{well}}, {App: "blog"}},
		"look at a (2 instances down), b (drift)":         {{App: "a", Instances: []Dot{down, well, down}}, bad("b")},
		"look at a (drift), b (drift), c (drift), 2 more": {bad("a"), bad("b"), bad("c"), bad("d"), bad("e")},
	} {
		if got := safety(berths); got.Word != want || (got.Class == "pass") != (want == "all is well") {
			t.Errorf("said %v, want %q", got, want)
		}
	}
	if got := busy([]Berth{{Queue: []Waiting{{}, {Place: 1}}}, {Queue: []Waiting{{}}}}); got != "2 in work, 1 waiting" {
		t.Errorf("busy: %q", got)
	}
}

func TestBrowserNames(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36":                         "Chrome on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"curl/8.5.0": "curl/8.5.0",
	} {
		if got := (SessionRow{Session: deploy.Session{Agent: agent}}).Browser(); got != want {
			t.Errorf("%s is %q, want %q", agent, got, want)
		}
	}
}
