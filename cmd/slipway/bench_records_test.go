//go:build bench

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"slipway/deploy"
)

// timings are what the audit log says of the times of one deployment.
type timings struct {
	at     map[deploy.EventType]time.Time
	stages map[deploy.StageName]time.Duration
	ended  map[deploy.StageName]time.Time
}

// records reads the audit log from its beginning.
func (p *place) records(t *testing.T) map[deploy.Number]*timings {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.data.Audit(), "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no audit log: %v", err)
	}
	all := map[deploy.Number]*timings{}
	started := map[deploy.Number]map[deploy.StageName]time.Time{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var e struct {
				Type       deploy.EventType
				Time       time.Time
				Deployment deploy.Number
				Stage      deploy.StageName
			}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			n := e.Deployment
			if n == 0 {
				continue
			}
			if all[n] == nil {
				all[n] = &timings{map[deploy.EventType]time.Time{}, map[deploy.StageName]time.Duration{}, map[deploy.StageName]time.Time{}}
				started[n] = map[deploy.StageName]time.Time{}
			}
			switch e.Type {
			case deploy.EventStageStarted:
				started[n][e.Stage] = e.Time
			case deploy.EventStageFinished:
				all[n].stages[e.Stage] = e.Time.Sub(started[n][e.Stage])
				all[n].ended[e.Stage] = e.Time
			default:
				all[n].at[e.Type] = e.Time
			}
		}
	}
	return all
}

// last is the number of the newest deployment.
func last(all map[deploy.Number]*timings) deploy.Number {
	var n deploy.Number
	for number := range all {
		n = max(n, number)
	}
	return n
}
