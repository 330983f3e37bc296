package audit_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"
	"unicode"

	"slipway/deploy"
	"slipway/deploy/audit"
)

// TestCloudEvent checks what CloudEvents 1.0 asks of a JSON event.
func TestCloudEvent(t *testing.T) {
	dir := t.TempDir()
	c := newClock()
	l := quick(t, dir, c)
	defer l.Close()
	for _, e := range []deploy.Event{
		{Type: "push.refused", Actor: deploy.Actor{Type: deploy.ActorUser, Name: "alice", Key: "SHA256:x", IP: "::1", Origin: "ssh"},
			App: "shop", Environment: "production", Ref: "refs/heads/main", Old: "a", New: "b", Deployment: 7, Stage: "build",
			Outcome: "fail", Reason: "two\nlines\x7f\ufffe\u200d", Data: json.RawMessage(`{"n":1}`)},
		{Type: "server.started", Actor: deploy.ServerActor("test")},
	} {
		if _, err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		c.move(24 * time.Hour)
	}
	var all []map[string]any
	for line, err := range audit.Lines(dir, 1) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := line.CloudEvent()
		if err != nil {
			t.Fatal(err)
		}
		var event map[string]any
		if err := json.Unmarshal(b, &event); err != nil {
			t.Fatal(err)
		}
		isCloudEvent(t, event)
		all = append(all, event)
	}
	if len(all) != 2 {
		t.Fatalf("%d events, want 2", len(all))
	}
	for attribute, want := range map[string]any{
		"reason": "two lines  \u200d", "sequence": "00000000000000000001", "deployment": "7", "actorkey": "SHA256:x", "target": "shop/production",
		"datacontenttype": "application/json", "subject": "apps/shop/deployments/7/stages/build",
	} {
		if got := all[0][attribute]; got != want {
			t.Errorf("%s is %q, want %q", attribute, got, want)
		}
	}
	if all[1]["previousfile"] != firstDay {
		t.Errorf("the second file's first event follows %v", all[1]["previousfile"])
	}
}

func isCloudEvent(t *testing.T, event map[string]any) {
	t.Helper()
	name := regexp.MustCompile(`^[a-z0-9]{1,20}$`)
	for attribute, value := range event {
		if !name.MatchString(attribute) {
			t.Errorf("the attribute %q has no name that CloudEvents allows", attribute)
		}
		if attribute == "data" {
			continue
		}
		s, ok := value.(string)
		if !ok || s == "" {
			t.Errorf("%s is %v, not a string", attribute, value)
		}
		for _, r := range s {
			if unicode.IsControl(r) || r == 0xfffe {
				t.Errorf("%s holds %U", attribute, r)
			}
		}
	}
	for _, required := range []string{"id", "source", "specversion", "type"} {
		if event[required] == nil {
			t.Errorf("there is no %s", required)
		}
	}
	for _, stamp := range []string{"time", "recordedtime"} {
		if _, err := time.Parse(time.RFC3339, event[stamp].(string)); err != nil {
			t.Error(err)
		}
	}
}
