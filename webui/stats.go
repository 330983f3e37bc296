package webui

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"slipway/deploy"
	"slipway/webui/chart"
)

// stats shows how often, how fast and how well.
func (s *Site) stats(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	apps, err := s.appNames(r, who)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := deploy.StatisticsFilter{App: deploy.AppName(q.Get("app")), Weeks: deploy.DefaultWeeks, Until: s.Now()}
	if text := q.Get("weeks"); text != "" {
		if f.Weeks, err = strconv.Atoi(text); err != nil || f.Weeks < 1 || f.Weeks > deploy.MaxWeeks {
			return deploy.Reject(deploy.CodeUsage, "%.20q is no number of weeks from 1 to %d", text, deploy.MaxWeeks)
		}
	}
	found, err := s.Control.Statistics(r.Context(), who, f)
	if err != nil {
		return err
	}
	return s.show(w, http.StatusOK, "stats", &StatisticsPage{
		Frame: s.frame(who, "Statistics", "stats"), App: string(f.App), Weeks: f.Weeks, Apps: apps,
		Figures: figuresOf(found), Charts: chartsOf(found), Clusters: clustersOf(found.Causes),
	})
}

// figuresOf are the numbers that stand for themselves.
func figuresOf(s deploy.Statistics) []Figure {
	return []Figure{
		{perDay(s.DeploymentFrequency), "accepted changes a day"},
		{share(s.FailureRate), "of verdicts were rejections"},
		{share(s.ChangeFailureRate), "change failure rate"},
		{spread(s.Verdict, s.Verdict.P50), "push to verdict, median"},
		{spread(s.Verdict, s.Verdict.P90), "push to verdict, 90th percentile"},
		{spread(s.LeadTimeForChanges, s.LeadTimeForChanges.P50), "lead time, median"},
		{spread(s.FailedDeploymentRecoveryTime, s.FailedDeploymentRecoveryTime.P50), "recovery, median"},
		{fmt.Sprint(s.Total.Bypasses), "bypasses"},
	}
}

// perDay writes how many there are of something rare, or not.
func perDay(v float64) string {
	if v < 1 {
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// share writes a part of a whole, "–" of nothing.
func share(s deploy.Share) string {
	if s.Of == 0 {
		return "–"
	}
	return percent(s.Rate() * 100)
}

func percent(v float64) string {
	if v < 10 && v > 0 {
		return fmt.Sprintf("%.1f%%", v)
	}
	return fmt.Sprintf("%.0f%%", v)
}

// spread writes a span of some, "–" of none.
func spread(s deploy.Spread, one time.Duration) string {
	if s.Count == 0 {
		return "–"
	}
	return span(one)
}

// chartsOf are the pictures, each with its numbers.
func chartsOf(s deploy.Statistics) []Chart {
	return []Chart{outcomesChart(s.Days), failuresChart(s.Weeks), verdictChart(s), stagesChart(s.Stages), regressionsChart(s.Weeks)}
}

// outcomes are how deployments end, as charts and tables show them.
func outcomes() []struct {
	class, sign, name string
	of                func(deploy.Tally) int
} {
	return []struct {
		class, sign, name string
		of                func(deploy.Tally) int
	}{
		{"accepted", "✓", "accepted", func(t deploy.Tally) int { return t.Accepted }},
		{"rejected", "✗", "rejected at the gate", func(t deploy.Tally) int { return t.GateRejected }},
		{"rolled", "↩", "rolled back", func(t deploy.Tally) int { return t.RolledBack }},
		{"errored", "!", "errored or interrupted", func(t deploy.Tally) int { return t.Errored + t.Interrupted }},
		{"canceled", "–", "canceled", func(t deploy.Tally) int { return t.Canceled }},
	}
}

func outcomesChart(days []deploy.Period) Chart {
	var series []chart.Series
	head := []string{"Day"}
	for _, o := range outcomes() {
		series = append(series, chart.Series{Class: o.class, Name: o.name, Sign: o.sign, Values: values(days, func(p deploy.Period) float64 { return float64(o.of(p.Tally)) })})
		head = append(head, o.name)
	}
	var rows [][]string
	for i := len(days) - 1; i >= 0; i-- {
		if days[i].Deployments == 0 {
			continue
		}
		row := []string{days[i].Start.Format(time.DateOnly)}
		for _, o := range outcomes() {
			row = append(row, fmt.Sprint(o.of(days[i].Tally)))
		}
		rows = append(rows, row)
	}
	svg := chart.Bars("deployments a day by outcome", chart.Axis{Labels: starts(days)}, series...)
	return Chart{"Deployments a day", svg + chart.Legend(series...), &Table{head, rows}}
}

func starts(periods []deploy.Period) []string {
	labels := make([]string, len(periods))
	for i, p := range periods {
		labels[i] = p.Start.Format("01-02")
	}
	return labels
}

func values(periods []deploy.Period, of func(deploy.Period) float64) []float64 {
	all := make([]float64, len(periods))
	for i, p := range periods {
		all[i] = of(p)
	}
	return all
}

// failed is how many verdicts on revisions were rejections.
func failed(t deploy.Tally) deploy.Share {
	rejected := t.GateRejected + t.RolledBack
	return deploy.Share{Count: rejected, Of: rejected + t.Accepted}
}

func failuresChart(weeks []deploy.Period) Chart {
	t := &Table{Head: []string{"Week from", "Rejected", "Of verdicts", "Share"}}
	for i := len(weeks) - 1; i >= 0; i-- {
		f := failed(weeks[i].Tally)
		t.Rows = append(t.Rows, []string{weeks[i].Start.Format(time.DateOnly), fmt.Sprint(f.Count), fmt.Sprint(f.Of), share(f)})
	}
	shares := values(weeks, func(p deploy.Period) float64 { return failed(p.Tally).Rate() * 100 })
	axis := chart.Axis{Labels: starts(weeks), Write: percent}
	return Chart{"Share of rejections, by week", chart.Bars("share of verdicts that were rejections, by week", axis, chart.Series{Class: "rejected", Name: "rejected", Values: shares}), t}
}

// verdictChart draws the spans between a push and what came of it.
func verdictChart(s deploy.Statistics) Chart {
	t := &Table{Head: []string{"Span", "Of", "Median", "90th percentile", "Longest"}}
	var labels []string
	var medians, rest []float64
	for _, one := range []struct {
		name string
		of   deploy.Spread
	}{{"push to verdict", s.Verdict}, {"waiting in the queue", s.QueueWait}} {
		labels = append(labels, one.name)
		medians = append(medians, one.of.P50.Seconds())
		rest = append(rest, (one.of.P90 - one.of.P50).Seconds())
		t.Rows = append(t.Rows, spreadRow(one.name, one.of))
	}
	for _, stage := range s.Stages {
		if stage.Took.Count == 0 {
			continue
		}
		labels = append(labels, string(stage.Name))
		medians = append(medians, stage.Took.P50.Seconds())
		rest = append(rest, (stage.Took.P90 - stage.Took.P50).Seconds())
		t.Rows = append(t.Rows, spreadRow(string(stage.Name), stage.Took))
	}
	axis := chart.Axis{Labels: labels, Names: true, Write: func(v float64) string { return fmt.Sprintf("%.3g s", v) }}
	series := []chart.Series{{Class: "run", Name: "median", Sign: "50", Values: medians}, {Class: "idle", Name: "more, to the 90th percentile", Sign: "90", Values: rest}}
	svg := chart.Bars("median time to the verdict and of each stage, and up to the 90th percentile", axis, series...)
	return Chart{"Time to the verdict, and where it goes", svg + chart.Legend(series...), t}
}

func spreadRow(name string, s deploy.Spread) []string {
	return []string{name, fmt.Sprint(s.Count), spread(s, s.P50), spread(s, s.P90), spread(s, s.Max)}
}

func stagesChart(stages []deploy.StageTally) Chart {
	t := &Table{Head: []string{"Stage", "Rejections", "Share"}}
	var labels []string
	var counts []float64
	for _, stage := range stages {
		name := string(stage.Name)
		if name == "" {
			name = "before the first"
		}
		if stage.Rejected.Count == 0 {
			continue
		}
		labels, counts = append(labels, name), append(counts, float64(stage.Rejected.Count))
		t.Rows = append(t.Rows, []string{name, fmt.Sprint(stage.Rejected.Count), share(stage.Rejected)})
	}
	return Chart{"Rejections by stage", chart.Bars("rejections by stage", chart.Axis{Labels: labels, Names: true}, chart.Series{Class: "rejected", Name: "rejected", Values: counts}), t}
}

func regressionsChart(weeks []deploy.Period) Chart {
	t := &Table{Head: []string{"Week from", "Regressions", "Rolled back by hand"}}
	for i := len(weeks) - 1; i >= 0; i-- {
		t.Rows = append(t.Rows, []string{weeks[i].Start.Format(time.DateOnly), fmt.Sprint(weeks[i].Regressions), fmt.Sprint(weeks[i].RollBacks)})
	}
	counts := values(weeks, func(p deploy.Period) float64 { return float64(p.Regressions) })
	return Chart{"Regressions, by week", chart.Bars("regressions by week", chart.Axis{Labels: starts(weeks)}, chart.Series{Class: "warn", Name: "regressions", Values: counts}), t}
}

func clustersOf(causes []deploy.FailureCause) []Cluster {
	var all []Cluster
	for _, c := range causes {
		signature := c.Signature
		if c.Stage != "" {
			signature = string(c.Stage) + ": " + signature
		}
		all = append(all, Cluster{
			Signature: signature, Count: c.Count, Apps: joined(c.Apps), First: c.FirstAt, Last: c.LastAt, Example: c.Example, Excerpt: c.Reason,
		})
	}
	return all
}
