package deploy_test

import (
	"encoding/json"
	"testing"
	"time"

	"slipway/deploy"
)

func TestSpanOfStatistics(t *testing.T) {
	vienna := time.FixedZone("", 3600)
	for _, test := range []struct {
		until time.Time
		weeks int
		want  string
	}{
		{time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC), 1, "2026-11-16"}, // a Sunday
		{time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), 1, "2026-11-23"},
		{time.Date(2026, 11, 23, 0, 30, 0, 0, vienna), 1, "2026-11-16"}, // still Sunday in UTC
		{time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), 0, "2026-08-31"},
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 2, "2025-12-22"},
		{time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), 9999, "2023-11-27"},
	} {
		from, until := deploy.StatisticsFilter{Weeks: test.weeks, Until: test.until}.Span()
		if got := from.Format(time.DateOnly); got != test.want || !until.Equal(test.until) || from.Location() != time.UTC {
			t.Errorf("%d weeks until %s: from %s, want %s", test.weeks, test.until, from, test.want)
		}
	}
}

func TestSpread(t *testing.T) {
	var spans []time.Duration
	for n := 10; n > 0; n-- {
		spans = append(spans, time.Duration(n)*time.Second)
	}
	want := deploy.Spread{Count: 10, P50: 5 * time.Second, P90: 9 * time.Second, Max: 10 * time.Second}
	if got := deploy.SpreadOf(spans); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	one := deploy.Spread{Count: 1, P50: 1500 * time.Millisecond, P90: 1500 * time.Millisecond, Max: 1500 * time.Millisecond}
	if got := deploy.SpreadOf([]time.Duration{1500 * time.Millisecond}); got != one {
		t.Errorf("of one: %+v", got)
	}
	if got := deploy.SpreadOf(nil); got != (deploy.Spread{}) {
		t.Errorf("of none: %+v", got)
	}
	b, err := json.Marshal(one)
	if err != nil || string(b) != `{"count":1,"p50Seconds":1.5,"p90Seconds":1.5,"maxSeconds":1.5}` {
		t.Errorf("as JSON: %s, error %v", b, err)
	}
}

func TestNewRegression(t *testing.T) {
	at := func(n deploy.Number, app deploy.AppName, s deploy.Status) deploy.Deployment {
		return deploy.Deployment{Number: n, App: app, Status: s}
	}
	good, fix := at(7, "shop", deploy.StatusAccepted), at(9, "shop", deploy.StatusAccepted)
	r, err := deploy.NewRegression(good, " no tax\n", &fix)
	if want := (deploy.Regression{Deployment: 7, Reason: "no tax", FixedBy: 9}); err != nil || r != want {
		t.Errorf("got %+v, error %v; want %+v", r, err, want)
	}
	for name, ask := range map[string]func() (deploy.Deployment, string, deploy.Deployment){
		"not accepted": func() (deploy.Deployment, string, deploy.Deployment) {
			return at(7, "shop", deploy.StatusRejected), "x", fix
		},
		"no words":       func() (deploy.Deployment, string, deploy.Deployment) { return good, " ", fix },
		"too many words": func() (deploy.Deployment, string, deploy.Deployment) { return good, string(make([]byte, 5000)), fix },
		"mended by another's": func() (deploy.Deployment, string, deploy.Deployment) {
			return good, "x", at(9, "blog", deploy.StatusAccepted)
		},
		"mended before": func() (deploy.Deployment, string, deploy.Deployment) {
			return good, "x", at(7, "shop", deploy.StatusAccepted)
		},
		"mended by a rejected": func() (deploy.Deployment, string, deploy.Deployment) {
			return good, "x", at(9, "shop", deploy.StatusRejected)
		},
	} {
		d, reason, fix := ask()
		_, err := deploy.NewRegression(d, reason, &fix)
		if rejection, ok := deploy.AsRejection(err); !ok || rejection.Hint == "" {
			t.Errorf("%s: got %v, want a rejection that says what to do", name, err)
		}
	}
}
