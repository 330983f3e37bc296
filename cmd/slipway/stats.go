package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"slipway/deploy"
)

func (c *commands) stats(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("stats")
	weeks, asJSON := f.Int("weeks", deploy.DefaultWeeks, ""), f.Bool("json", false, "")
	names, err := f.parse(args, 0, 1)
	if err != nil {
		return err
	}
	if *weeks < 1 || *weeks > deploy.MaxWeeks {
		return usageError(fmt.Sprintf("-weeks is 1 to %d", deploy.MaxWeeks))
	}
	filter := deploy.StatisticsFilter{Weeks: *weeks, Until: time.Now()}
	if len(names) == 1 {
		if filter.App, err = appNamed(names[0]); err != nil {
			return err
		}
	}
	s, err := c.control.Statistics(ctx, who, filter)
	if err != nil {
		return err
	}
	if *asJSON {
		out := json.NewEncoder(std.out)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		return out.Encode(s)
	}
	return tellStatistics(s, std.out)
}

// tellStatistics writes them for people: a line a week with its days, the figures, the stages, and why
// deployments failed.
func tellStatistics(s deploy.Statistics, out io.Writer) error {
	of := "all apps"
	if s.App != "" {
		of = string(s.App)
	}
	fmt.Fprintf(out, "%s, %s to %s; days and weeks are those of UTC\n\n", of, s.From.Format(time.DateOnly), s.Until.Format("2006-01-02 15:04"))
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "week of\tMo\tTu\tWe\tTh\tFr\tSa\tSu\tall\taccepted\tat the gate\trolled back\terrored\tcanceled\tinterrupted\tregressions\t")
	for i, w := range s.Weeks {
		fmt.Fprintf(t, "%s\t", w.Start.Format(time.DateOnly))
		for d := 7 * i; d < 7*i+7; d++ {
			cell := ""
			if d < len(s.Days) {
				cell = fmt.Sprint(s.Days[d].Deployments)
			}
			fmt.Fprint(t, cell, "\t")
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", w.Deployments, w.Accepted, w.GateRejected, w.RolledBack, w.Errored, w.Canceled, w.Interrupted, w.Regressions)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := tellFigures(s, out); err != nil {
		return err
	}
	return tellFailures(s, out)
}

func tellFigures(s deploy.Statistics, out io.Writer) error {
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	n := s.Total
	fmt.Fprintf(t, "deployment frequency\t%.2f a day\n", s.DeploymentFrequency)
	fmt.Fprintf(t, "lead time for changes\t%s\n", spreadWords(s.LeadTimeForChanges))
	fmt.Fprintf(t, "change failure rate\t%s of what got traffic\n", shareWords(s.ChangeFailureRate))
	recovery := spreadWords(s.FailedDeploymentRecoveryTime)
	if s.Unrecovered > 0 {
		recovery += fmt.Sprintf("; not recovered from yet: %d", s.Unrecovered)
	}
	fmt.Fprintf(t, "failed deployment recovery time\t%s\n", recovery)
	fmt.Fprintf(t, "rejected, at the gate or by the watch\t%s verdicts\n", shareWords(s.FailureRate))
	fmt.Fprintf(t, "from push to verdict\t%s\n", spreadWords(s.Verdict))
	fmt.Fprintf(t, "waiting in the queue\t%s\n", spreadWords(s.QueueWait))
	fmt.Fprintf(t, "bypasses\t%d\nredeployments\t%d\nroll backs by hand\t%d\n", n.Bypasses, n.Redeploys, n.RollBacks)
	fmt.Fprintf(t, "refused before they had a number\t%d\n", n.Refused)
	if err := t.Flush(); err != nil || len(s.Stages) == 0 {
		return err
	}
	fmt.Fprintln(out)
	fmt.Fprintln(t, "stage\trejected in it\ttook")
	for _, stage := range s.Stages {
		name := strings.Replace(string(stage.Name), ".", " ", 1)
		if name == "" {
			name = "(none yet)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", name, shareWords(stage.Rejected), spreadWords(stage.Took))
	}
	return t.Flush()
}

// mostTold is how many runs and causes are told to people.
const mostTold = 10

func tellFailures(s deploy.Statistics, out io.Writer) error {
	if len(s.Runs) > 0 {
		fmt.Fprintf(out, "\nrejected one after the other, the longest run %d\n", s.LongestRun)
	}
	for _, run := range s.Runs[:min(mostTold, len(s.Runs))] {
		still := ""
		if !run.Over {
			still = ", and nothing accepted since"
		}
		fmt.Fprintf(out, "  %s: %d from %d to %d, %s to %s%s\n", run.App, run.Length, run.First, run.Last,
			run.Since.Format("2006-01-02 15:04"), run.Until.Format("2006-01-02 15:04"), still)
	}
	if len(s.Causes) > 0 {
		fmt.Fprintln(out, "\nwhy they failed; what changes each time is masked")
	}
	for _, cause := range s.Causes[:min(mostTold, len(s.Causes))] {
		whose := strings.Replace(string(cause.Stage), ".", " ", 1)
		if cause.Errored {
			whose = strings.TrimSpace(whose + " (errored)")
		}
		apps := make([]string, len(cause.Apps))
		for i, app := range cause.Apps {
			apps[i] = string(app)
		}
		fmt.Fprintf(out, "  %d x %s of %s, %s to %s, the last is %d\n", cause.Count, whose, strings.Join(apps, ", "),
			cause.FirstAt.Format("2006-01-02 15:04"), cause.LastAt.Format("2006-01-02 15:04"), cause.Example)
		for line := range strings.Lines(cause.Signature) {
			fmt.Fprintln(out, "      "+strings.TrimSuffix(line, "\n"))
		}
	}
	if more := max(len(s.Causes)-mostTold, 0) + s.MoreCauses; more > 0 {
		fmt.Fprintf(out, "  and %d causes more\n", more)
	}
	if len(s.Regressions) > 0 {
		fmt.Fprintln(out, "\nregressions")
	}
	for _, r := range s.Regressions {
		mended := ""
		if r.FixedBy != 0 {
			mended = fmt.Sprintf(" (mended by %d)", r.FixedBy)
		}
		fmt.Fprintf(out, "  %d: %s%s\n", r.Deployment, r.Reason, mended)
	}
	return nil
}

func shareWords(s deploy.Share) string {
	return fmt.Sprintf("%.0f%% (%d of %d)", 100*s.Rate(), s.Count, s.Of)
}

func spreadWords(s deploy.Spread) string {
	if s.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("p50 %s, p90 %s, of %d", spanWords(s.P50), spanWords(s.P90), s.Count)
}

// spanWords writes a span with what matters of it: 0.31s, 4m10s, 3h5m, 2d4h.
func spanWords(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// regression marks an accepted deployment as having broken something.
func (c *commands) regression(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("regression")
	fixedBy := f.String("fixed-by", "", "")
	words, err := f.parse(args, 1, len(args))
	if err != nil {
		return err
	}
	n, err := numbered(words[0])
	if err != nil {
		return err
	}
	var fix deploy.Number
	if *fixedBy != "" {
		if fix, err = numbered(*fixedBy); err != nil {
			return err
		}
	}
	r, err := c.control.MarkRegression(ctx, who, n, strings.Join(words[1:], " "), fix) // ssh has taken the quotes away
	if err != nil {
		return err
	}
	mended := "; its mend is the next accepted deployment, or the one you name with -fixed-by"
	if r.FixedBy != 0 {
		mended = fmt.Sprintf("; %d mended it", r.FixedBy)
	}
	fmt.Fprintf(std.out, "deployment %d is marked: %s%s\n", n, r.Reason, mended)
	return nil
}
