package webui

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/webui/chart"
)

// production shows what runs, who is next, and whether it is safe.
func (s *Site) production(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	page, err := s.productionPage(r.Context(), who)
	if err != nil {
		return err
	}
	return s.show(w, http.StatusOK, "production", page)
}

func (s *Site) productionPage(ctx context.Context, who deploy.Caller) (*ProductionPage, error) {
	berths, err := s.berths(ctx, who)
	if err != nil {
		return nil, err
	}
	page := &ProductionPage{Frame: s.frame(who, "Production", "production"), Berths: berths}
	parts, err := s.berthParts(page)
	if err != nil {
		return nil, err
	}
	var at position
	for _, p := range parts {
		at.sent(p.ID, p.sum)
	}
	page.Live = "/live?" + query("at", at.String())
	return page, nil
}

// berths are the apps that the caller may read, in production.
func (s *Site) berths(ctx context.Context, who deploy.Caller) ([]Berth, error) {
	standings, err := s.Control.Standings(ctx, who)
	if err != nil {
		return nil, err
	}
	desk, err := s.desk(ctx, who)
	if err != nil {
		return nil, err
	}
	berths := make([]Berth, 0, len(standings))
	for _, standing := range standings {
		berth, err := s.berth(ctx, who, standing, desk)
		if err != nil {
			return nil, err
		}
		berths = append(berths, berth)
	}
	return berths, nil
}

// desk is what is in work or waits, by number.
type desk map[deploy.Number]deploy.QueueEntry

func (s *Site) desk(ctx context.Context, who deploy.Caller) (desk, error) {
	pending, err := s.Control.Pending(ctx, who)
	if err != nil {
		return nil, err
	}
	d := desk{}
	for _, entry := range pending {
		d[entry.Deployment.Number] = entry
	}
	return d, nil
}

// berth is how an app's production is shown.
func (s *Site) berth(ctx context.Context, who deploy.Caller, standing deploy.Standing, pending desk) (Berth, error) {
	app := standing.App.Name
	b := Berth{
		App: app, Address: s.Places.App(app), Frozen: standing.State.Frozen, FrozenAt: standing.State.FrozenAt, Drift: standing.Drift,
		MayPush:   deploy.Allows(standing.Role, standing.Role, deploy.RightPush),
		MayFreeze: deploy.Allows(standing.Role, standing.Role, deploy.RightBypass),
		Serving:   servingOf(standing),
	}
	for _, i := range standing.Instances {
		b.Instances = append(b.Instances, dotOf(i))
	}
	b.Traffic, b.Requests = trafficOf(app, s.Traffic.Of(app))
	if len(standing.Queue) == 0 {
		return b, nil
	}
	median, err := s.median(ctx, who, app)
	if err != nil {
		return Berth{}, err
	}
	for _, w := range standing.Queue {
		b.Queue = append(b.Queue, s.waiting(w, pending[w.Number], median))
	}
	return b, nil
}

func servingOf(s deploy.Standing) *Serving {
	if s.State.Serving == 0 {
		return nil
	}
	serving := &Serving{Number: s.State.Serving, Revision: s.State.Revision}
	if d := s.Accepted; d != nil && d.Release() == s.State.Serving {
		serving.Subject, serving.Author, serving.Since = d.Commit.Subject, d.Commit.Author, d.FinishedAt
	}
	return serving
}

func dotOf(i deploy.RunningInstance) Dot {
	d := Dot{Name: fmt.Sprintf("%s %d", i.Process, i.Index), State: State{"pass", "●", "up"}, More: fmt.Sprintf("%d MiB", i.State.Memory>>20)}
	if i.State.Restarts > 0 {
		d.More = fmt.Sprintf("%s, restarted %s", d.More, times(i.State.Restarts))
	}
	if i.State.Running {
		return d
	}
	d.State, d.More = State{"fail", "○", "down"}, "restarted "+times(i.State.Restarts)
	if i.State.LastExit != "" {
		d.More += ", last: " + i.State.LastExit
	}
	return d
}

func times(n int) string { return count(n, "time") }

// sparkStep is what one point of a spark line stands for.
const sparkStep = time.Minute

// trafficOf draws what an app got, and says it.
func trafficOf(app deploy.AppName, t deploy.RecentTraffic) (spark template.HTML, words string) {
	if len(t.Requests) == 0 {
		return "", ""
	}
	each := max(1, int(sparkStep/t.Step))
	requests, asked := points(t.Requests, each)
	errors, failed := points(t.Errors, each)
	span := time.Duration(len(t.Requests)) * t.Step
	series := []chart.Series{{Class: "requests", Values: requests}}
	if failed > 0 {
		series = append(series, chart.Series{Class: "errors", Values: errors})
	}
	words = count(int(asked), "request") + ", no errors"
	if failed > 0 {
		words = count(int(asked), "request") + ", " + count(int(failed), "error")
	}
	if asked == 0 {
		words = "no requests"
	}
	words += fmt.Sprintf(" in %d min", int(span.Minutes()))
	return chart.Spark(fmt.Sprintf("requests of %s in the last %d minutes", app, int(span.Minutes())), 150, 28, series...), words
}

// points adds up each so many values, and all of them.
func points(values []int64, each int) (all []float64, sum int64) {
	for some := range slices.Chunk(values, each) {
		point := int64(0)
		for _, v := range some {
			point += v
		}
		all, sum = append(all, float64(point)), sum+point
	}
	return all, sum
}

// medianOf is how many deployments a median is of.
const medianOf = 20

// median is how long an app's last accepted pushes took from their turn to their end; zero if there was none.
func (s *Site) median(ctx context.Context, who deploy.Caller, app deploy.AppName) (time.Duration, error) {
	found, err := s.Control.Deployments(ctx, who, deploy.DeploymentFilter{App: app, Status: deploy.StatusAccepted, Limit: medianOf})
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	for _, d := range found {
		if d.Again == nil && d.Bypass == nil && !d.StartedAt.IsZero() && !d.FinishedAt.IsZero() {
			took = append(took, d.FinishedAt.Sub(d.StartedAt))
		}
	}
	if len(took) == 0 {
		return 0, nil
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// waiting is a place in a queue. Its deployment may have ended since the queue was read, or not be recorded
// yet: then its number and its place are told alone.
func (s *Site) waiting(w deploy.Waiting, entry deploy.QueueEntry, median time.Duration) Waiting {
	d := entry.Deployment
	row := Waiting{Number: w.Number, Place: w.Place, Who: string(w.User), Subject: d.Commit.Subject, Strip: stripOf(w)}
	from := d.QueuedAt
	if w.Place == 0 {
		row.Median = median
		if !d.StartedAt.IsZero() {
			from = d.StartedAt
		}
	}
	if !from.IsZero() {
		row.Elapsed = max(0, s.Now().Sub(from))
	}
	return row
}

// strips are the stages as the strip names them.
func strips() []struct {
	stage deploy.StageName
	name  string
} {
	return []struct {
		stage deploy.StageName
		name  string
	}{
		{deploy.StageCheckout, "checkout"}, {deploy.StageBuild, "build"}, {deploy.StageTest, "test"},
		{deploy.StageRelease, "release"}, {deploy.StageSwitch, "switch"}, {deploy.StageMonitor, "watch"},
	}
}

// stripOf shows which stages a deployment in work has behind it, which one runs and which are to come.
func stripOf(w deploy.Waiting) []Step {
	present := -1
	stage, _, _ := strings.Cut(string(w.Stage), ".")
	for i, s := range strips() {
		if w.Place == 0 && string(s.stage) == stage {
			present = i
		}
	}
	var all []Step
	for i, s := range strips() {
		state := ahead()
		if i < present {
			state = outcomeOf(deploy.OutcomePass)
		}
		if i == present {
			state = outcomeOf("")
		}
		all = append(all, Step{s.name, state})
	}
	return all
}

// busy is how many deployments are in work, and how many wait.
func busy(berths []Berth) string {
	working, waiting := 0, 0
	for _, b := range berths {
		for _, w := range b.Queue {
			if w.Place == 0 {
				working++
			} else {
				waiting++
			}
		}
	}
	switch {
	case waiting > 0:
		return fmt.Sprintf("%d in work, %d waiting", working, waiting)
	case working > 0:
		return fmt.Sprintf("%d in work", working)
	}
	return ""
}

// safety names the apps that somebody has to look at, with the reasons.
func safety(berths []Berth) State {
	var words []string
	for _, b := range berths {
		var why []string
		if b.Drift != "" {
			why = append(why, "drift")
		}
		if b.Frozen != "" {
			why = append(why, "frozen")
		}
		down := 0
		for _, i := range b.Instances {
			if !i.Well() {
				down++
			}
		}
		if down > 0 {
			why = append(why, count(down, "instance")+" down")
		}
		if len(why) > 0 {
			words = append(words, string(b.App)+" ("+strings.Join(why, ", ")+")")
		}
	}
	if len(words) == 0 {
		return State{"pass", "✓", "all is well"}
	}
	if more := len(words) - maxNamed; more > 0 {
		words = append(words[:maxNamed], fmt.Sprintf("%d more", more))
	}
	return State{"warn", "!", "look at " + strings.Join(words, ", ")}
}

// maxNamed is how many apps a summary names.
const maxNamed = 3
