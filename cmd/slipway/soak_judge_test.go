package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
)

// told is what the audit log says of a deployment.
type told struct {
	Number                 deploy.Number
	App                    deploy.AppName
	Old, New               deploy.OID
	queued, started, moved time.Time
	end                    deploy.EventType
	endedAt                time.Time
	failed                 deploy.StageName // the first stage that did
}

// history reads the audit log. It returns the deployments in the order in which they were queued, and in
// the order in which they were started.
func history(t *testing.T, data string) (queued, started []*told) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(deploy.Layout(data).Audit(), "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no audit log: %v", err)
	}
	all := map[deploy.Number]*told{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e struct {
				Type       deploy.EventType
				Time       time.Time
				App        deploy.AppName
				Old, New   deploy.OID
				Deployment deploy.Number
				Stage      deploy.StageName
				Outcome    deploy.Outcome
			}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			d := all[e.Deployment]
			switch e.Type {
			case deploy.EventDeploymentQueued:
				d = &told{Number: e.Deployment, App: e.App, New: e.New, queued: e.Time}
				all[e.Deployment], queued = d, append(queued, d)
			case deploy.EventDeploymentStarted:
				d.started, d.Old = e.Time, e.Old
				started = append(started, d)
			case deploy.EventStageFinished:
				if d.failed == "" && e.Outcome == deploy.OutcomeFail {
					d.failed = e.Stage
				}
			case deploy.EventRefMoved:
				d.moved = e.Time
			case deploy.EventAccepted, deploy.EventRejected, deploy.EventCanceled, deploy.EventInterrupted, deploy.EventErrored:
				d.end, d.endedAt = e.Type, e.Time
			}
		}
	}
	return queued, started
}

// judge compares what every pusher saw with what its revision deserved and with the records.
func (s *soak) judge() {
	s.t.Helper()
	answers := 0
	for app, v := range s.visitors {
		v.end()
		answers += v.answers
		if len(v.wrong) > 0 {
			s.t.Errorf("visitors of %s: %d of %d answers were wrong, the first: %s", app, len(v.wrong), v.answers, v.wrong[0])
		}
	}
	queued, started := history(s.t, s.data)
	s.judgeOrder(started)
	of := map[string]*told{}
	for _, d := range queued {
		of[string(d.New)] = d
	}
	counts := map[string]int{}
	for _, a := range s.pushes {
		counts[s.judgePush(a, of[a.revision], started)]++
	}
	s.t.Logf("%d pushes, %d answers to visitors; %v", len(s.pushes), answers, counts)
	if s.t.Failed() {
		s.t.Log(s.lastLog())
	}
}

// judgePush returns what became of a push, in a word.
func (s *soak) judgePush(a attempted, d *told, started []*told) string {
	s.t.Helper()
	if strings.Contains(a.said, "no fast-forward") || strings.Contains(a.said, "! [rejected]") {
		// It is right if the ref was moved meanwhile: between the verdict on another one and the record of the move.
		for _, o := range started {
			if string(o.App) == a.app && string(o.New) != a.revision && o.moved.After(a.began) && o.end == deploy.EventAccepted && o.endedAt.Before(a.ended) {
				return "overtaken"
			}
		}
		s.t.Errorf("the ref was not moved meanwhile (%s), and yet %s", moves(a, started), a)
		return "wrong"
	}
	switch {
	case d == nil:
		s.t.Errorf("no deployment, when %s", a)
	case d.end != a.kind.ends || !a.kind.failsIn(d.failed):
		s.t.Errorf("deployment %d ends with %s in stage %q, when %s", d.Number, d.end, d.failed, a)
	case a.ok != (d.end == deploy.EventAccepted), a.ok != strings.Contains(a.said, "accepted: "):
		s.t.Errorf("deployment %d ends with %s, and the pusher does not hear it: %s", d.Number, d.end, a)
	default:
		return a.kind.name
	}
	return "wrong"
}

// moves tells when the ref that a push was for was moved, in the seconds around it.
func moves(a attempted, started []*told) string {
	var found []string
	for _, o := range started {
		if string(o.App) == a.app && o.moved.After(a.began.Add(-5*time.Second)) && o.endedAt.Before(a.ended.Add(5*time.Second)) {
			found = append(found, fmt.Sprintf("deployment %d, accepted at %s, moved it before %s", o.Number, o.endedAt.Format(time.RFC3339Nano), o.moved.Format(time.RFC3339Nano)))
		}
	}
	return cmp.Or(strings.Join(found, "; "), "nor seconds before or after")
}

// judgeOrder wants each app's deployments to begin in the order in which they came, one after the other's
// end, and those accepted to be one line of history.
func (s *soak) judgeOrder(started []*told) {
	s.t.Helper()
	last, ref := map[deploy.AppName]*told{}, map[deploy.AppName]deploy.OID{}
	for _, d := range started {
		if l := last[d.App]; l != nil {
			// Two that come in the same moment have no order.
			if l.queued.Sub(d.queued) > time.Second {
				s.t.Errorf("deployment %d of %s was started after %d, which had come %s later", d.Number, d.App, l.Number, l.queued.Sub(d.queued))
			}
			if d.started.Before(l.endedAt) {
				s.t.Errorf("deployment %d of %s was started before the end of %d", d.Number, d.App, l.Number)
			}
		}
		last[d.App] = d
		if d.end != deploy.EventAccepted {
			continue
		}
		if !d.Old.IsZero() && d.Old != ref[d.App] {
			s.t.Errorf("deployment %d of %s goes on %s, and %s was accepted last", d.Number, d.App, d.Old.Short(), ref[d.App].Short())
		}
		ref[d.App] = d.New
	}
	for app, want := range ref {
		is := strings.Fields(s.gitIn(filepath.Join(s.dir, "olga", string(app)), "ls-remote", "origin", "refs/heads/main"))
		serves, err := s.get(string(app))
		if len(is) != 2 || is[0] != string(want) || serves != string(want) || err != nil {
			s.t.Errorf("%s: main is %v, %s serves (%v), and %s was accepted last", app, is, serves, err, want)
		}
	}
}
