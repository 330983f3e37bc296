package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/audit"
)

// fullLine has every attribute.
func fullLine() audit.Line {
	return audit.Line{
		Event: deploy.Event{
			Sequence: 17, ID: "01JD", Type: deploy.EventRejected, At: time.Date(2026, 11, 22, 1, 2, 3, 456789000, time.UTC),
			Actor: deploy.Actor{Type: deploy.ActorUser, Name: "alice", Key: "SHA256:x", IP: "192.0.2.7", Origin: "ssh"},
			App:   "shop", Environment: deploy.Production, Ref: "refs/heads/main",
			Old: deploy.OID(strings.Repeat("a", 40)), New: deploy.OID(strings.Repeat("b", 40)),
			Deployment: 42, Stage: "test.unit", Outcome: deploy.OutcomeFail, Reason: "got <3> & \"2\"\u2028",
			Data: json.RawMessage(`{"code":"test","message":"a < b"}`),
		},
		Source: "test", RecordedAt: time.Date(2026, 11, 22, 1, 2, 4, 0, time.UTC), Prev: strings.Repeat("0", 64),
		After: &audit.File{Name: "2026-11-21.jsonl", SHA256: strings.Repeat("1", 64), Count: 16},
	}
}

func TestLineForm(t *testing.T) {
	want := `{"specversion":"1.0","id":"01JD","source":"test","type":"deployment.rejected",` +
		`"subject":"apps/shop/deployments/42/stages/test.unit","time":"2026-11-22T01:02:03.456789Z",` +
		`"recordedtime":"2026-11-22T01:02:04Z","sequence":17,` +
		`"actor":{"type":"user","name":"alice","key":"SHA256:x","ip":"192.0.2.7","origin":"ssh"},` +
		`"app":"shop","target":"shop/production","ref":"refs/heads/main",` +
		`"old":"` + strings.Repeat("a", 40) + `","new":"` + strings.Repeat("b", 40) + `",` +
		`"deployment":42,"stage":"test.unit","outcome":"fail","reason":"got <3> & \"2\"\u2028",` +
		`"data":{"code":"test","message":"a < b"},` +
		`"previous":{"file":"2026-11-21.jsonl","sha256":"` + strings.Repeat("1", 64) + `","count":16},` +
		`"prev":"` + strings.Repeat("0", 64) + `"}` + "\n"
	raw, err := fullLine().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLineRoundTrip(t *testing.T) {
	least := audit.Line{
		Event: deploy.Event{Sequence: 1, ID: "x", Type: "x", At: time.Unix(0, 1).UTC(), Actor: deploy.Actor{Type: deploy.ActorServer}},
		Prev:  strings.Repeat("0", 64), RecordedAt: time.Unix(1, 0).UTC(),
	}
	noApp := least
	noApp.Event.Environment = "staging"
	noTarget := least
	noTarget.Event.App = "shop"
	for name, want := range map[string]audit.Line{
		"everything": fullLine(), "the least": least, "no app": noApp, "no environment": noTarget,
	} {
		raw, err := want.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := audit.ParseLine(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSubject(t *testing.T) {
	user := deploy.Event{Type: deploy.EventUserCreated}.WithData(deploy.User{Name: "alice"})
	key := deploy.Event{Type: deploy.EventKeyAdded}.WithData(deploy.Key{User: "bob"})
	for want, e := range map[string]deploy.Event{
		"users/alice":             user,
		"users/bob":               key,
		"apps/shop":               {Type: deploy.EventAppCreated, App: "shop"},
		"apps/shop/deployments/7": {Type: deploy.EventAccepted, App: "shop", Deployment: 7},
	} {
		line := fullLine()
		e.Sequence, e.ID, e.Actor, e.At = 1, "x", deploy.ServerActor("test"), line.Event.At
		line.Event = e
		raw, err := line.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), `"subject":"`+want+`"`) {
			t.Errorf("no subject %s in %s", want, raw)
		}
	}
}

// TestAppendCleansWhatALineCannotHold: what Append returns is what will be read, also for bytes that
// are not UTF-8 and times in another zone.
func TestAppendCleansWhatALineCannotHold(t *testing.T) {
	l := open(t, t.TempDir(), newClock())
	e := event(1)
	e.Reason = "bad \xff bytes"
	e.At = time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	e.Data = []byte("{ \"a\" : \"\xfe\" }\n")
	recorded, err := l.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]deploy.Event{recorded}, events(t, l, 1)); diff != "" {
		t.Errorf("(-recorded +read):\n%s", diff)
	}
	if recorded.Reason != "bad \uFFFD bytes" || string(recorded.Data) != "{\"a\":\"\uFFFD\"}" {
		t.Errorf("recorded %q with %s", recorded.Reason, recorded.Data)
	}
}

func TestParseLineRefuses(t *testing.T) {
	good, err := fullLine().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"nothing":              "",
		"no JSON":              "x\n",
		"two objects":          string(good) + string(good),
		"another version":      strings.Replace(string(good), `"1.0"`, `"0.3"`, 1),
		"no sequence":          strings.Replace(string(good), `"sequence":17,`, ``, 1),
		"no actor":             strings.Replace(string(good), `"type":"user",`, ``, 1),
		"another app's target": strings.Replace(string(good), `"target":"shop/`, `"target":"other/`, 1),
		"no hash":              strings.Replace(string(good), strings.Repeat("0", 64), "0", 1),
		"a hash in capitals":   strings.Replace(string(good), strings.Repeat("0", 64), strings.Repeat("A", 64), 1),
		"a foreign file":       strings.Replace(string(good), "2026-11-21.jsonl", "../x.jsonl", 1),
		"too long":             strings.Repeat(" ", audit.MaxLine) + string(good),
	} {
		if _, err := audit.ParseLine([]byte(raw)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := audit.ParseLine([]byte(strings.Replace(string(good), `{"spec`, `{"later":1,"spec`, 1))); err != nil {
		t.Errorf("an attribute that is not known yet: %v", err)
	}
}

// FuzzParseLine: whatever can be read can be written, and reads the same again.
func FuzzParseLine(f *testing.F) {
	good, err := fullLine().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"specversion":"1.0","id":"x","type":"x","time":"2026-01-01T00:00:00+01:00","recordedtime":"2026-01-01T00:00:00Z",` +
		`"sequence":1,"actor":{"type":"server"},"data": null,"target":"/x","prev":"` + strings.Repeat("0", 64) + `"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		line, err := audit.ParseLine(raw)
		if err != nil {
			return
		}
		again, err := line.Encode()
		if err != nil {
			if len(raw) > audit.MaxLine/8 {
				return // escaping can make a line longer
			}
			t.Fatalf("cannot be written again: %v", err)
		}
		got, err := audit.ParseLine(again)
		if err != nil {
			t.Fatalf("cannot be read again: %v\n%s", err, again)
		}
		if diff := cmp.Diff(line, got); diff != "" {
			t.Errorf("(-first +again):\n%s", diff)
		}
	})
}
