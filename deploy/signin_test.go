package deploy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"slipway/deploy"
)

// TestFailedSignInsAreAllCounted: however many sign-ins fail, a few events a minute tell of all of them.
func TestFailedSignInsAreAllCounted(t *testing.T) {
	var failures deploy.FailedSignIns
	var events []deploy.Event
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	looked := now
	fail := func(ip, key string, every time.Duration) {
		if e, alone := failures.Add(deploy.Actor{IP: ip, Key: key}, "no such key", now); alone {
			events = append(events, e)
		}
		if now = now.Add(every); now.Sub(looked) >= 15*time.Second {
			events, looked = append(events, failures.Due(now, false)...), now
		}
	}
	const flood = 10_000
	fail("192.0.2.1", "SHA256:once", 0)
	for i := range flood { // in ten minutes, one address, many keys
		fail("192.0.2.2", fmt.Sprint("SHA256:", i), 10*time.Minute/flood)
	}
	for i := range flood { // in ten minutes, each from another address
		fail(fmt.Sprint("2001:db8::", i), "SHA256:x", 10*time.Minute/flood)
	}
	events = append(events, failures.Due(now, true)...)
	told := 0
	for _, e := range events {
		several := deploy.SignInData{Count: 1}
		if e.Data != nil {
			if err := json.Unmarshal(e.Data, &several); err != nil {
				t.Fatal(err)
			}
		}
		told += several.Count
	}
	if told != 2*flood+1 {
		t.Errorf("%d failures are told of, and there were %d", told, 2*flood+1)
	}
	if n := len(events); n > 10*2*(30+2) {
		t.Errorf("%d events", n)
	}
	once := slices.IndexFunc(events, func(e deploy.Event) bool { return e.Actor.Key == "SHA256:once" })
	if once < 0 || events[once].Data != nil || events[once].Reason != "no such key" {
		t.Errorf("the one that failed once is told of in %+v", events[max(once, 0)])
	}
	if late := failures.Due(now, true); len(late) > 0 {
		t.Errorf("told twice: %+v", late)
	}
}
