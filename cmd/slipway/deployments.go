package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"slipway/deploy"
	"slipway/deploy/pipeline"
)

func (c *commands) deployments(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("deployments")
	most := f.Int("n", 20, "")
	names, err := f.parse(args, 0, 1)
	if err != nil {
		return err
	}
	if *most < 1 || *most > 1000 {
		return usageError("-n is 1 to 1000")
	}
	apps, err := c.visible(ctx, who)
	if err != nil {
		return err
	}
	filter := deploy.DeploymentFilter{Limit: *most}
	if len(names) == 1 {
		app, err := c.app(ctx, who, names[0], deploy.RightRead)
		if err != nil {
			return err
		}
		apps, filter.App = []deploy.App{app}, app.Name
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for shown := 0; shown < *most; {
		page, err := c.store.Deployments(ctx, filter)
		if err != nil {
			return err
		}
		for _, d := range page {
			filter.Before = d.Number
			mayRead := who.admin || slices.ContainsFunc(apps, func(a deploy.App) bool { return a.Name == d.App })
			if mayRead && shown < *most {
				fmt.Fprintln(t, deploymentLine(d))
				shown++
			}
		}
		if len(page) < filter.Limit {
			break
		}
	}
	return t.Flush()
}

func deploymentLine(d deploy.Deployment) string {
	why := d.Reason
	if d.Again != nil {
		why = strings.TrimSuffix(fmt.Sprintf("%s: %s", d.Again, d.Again.Reason), ": ")
		if d.Reason != "" {
			why += ": " + d.Reason
		}
	}
	if d.Bypass != nil {
		why = "bypass: " + d.Bypass.Reason
	}
	return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", d.Number, d.App, d.Status, d.New.Short(), d.Pusher.User,
		d.QueuedAt.UTC().Format("2006-01-02 15:04:05"), why)
}

// deployment returns a deployment by number if the caller has the right to its app.
func (c *commands) deployment(ctx context.Context, who caller, number string, right deploy.Right) (deploy.Deployment, error) {
	n, err := deploy.ParseNumber(number)
	if err != nil {
		return deploy.Deployment{}, usageError(err.Error())
	}
	missing := deploy.Reject(deploy.CodeNotFound, "there is no deployment %d", n).WithHint("slipway deployments")
	d, err := c.store.Deployment(ctx, n)
	if errors.Is(err, deploy.ErrNotFound) {
		return d, missing
	}
	if err != nil || who.admin {
		return d, err
	}
	_, err = c.app(ctx, who, string(d.App), right)
	if r, ok := deploy.AsRejection(err); ok && r.Code == deploy.CodeNotFound {
		return d, missing
	}
	return d, err
}

func (c *commands) log(ctx context.Context, who caller, args []string, std stdio) error {
	names, err := newFlags("log").parse(args, 1, 2)
	if err != nil {
		return err
	}
	d, err := c.deployment(ctx, who, names[0], deploy.RightRead)
	if err != nil {
		return err
	}
	stages, err := c.store.Stages(ctx, d.Number)
	if err != nil {
		return err
	}
	if len(names) == 2 {
		return c.stageLog(d, stages, names[1], std)
	}
	for _, s := range stages {
		fmt.Fprintf(std.out, "=== %s  %s\n", s.Name, outcomeWord(s))
		if err := c.copyLog(d.Number, string(s.Name)+".log", std.out); err != nil {
			return err
		}
	}
	if len(stages) == 0 {
		return c.copyLog(d.Number, pipeline.TranscriptFile, std.out)
	}
	if d.Reason != "" {
		fmt.Fprintf(std.out, "=== %s: %s\n", d.Status, d.Reason)
	}
	return nil
}

func outcomeWord(s deploy.Stage) string {
	if s.Outcome == "" {
		return "running"
	}
	return fmt.Sprintf("%s in %s", s.Outcome, s.FinishedAt.Sub(s.StartedAt).Round(time.Millisecond))
}

func (c *commands) stageLog(d deploy.Deployment, stages []deploy.Stage, name string, std stdio) error {
	var known []string
	for _, s := range stages {
		if string(s.Name) == name {
			return c.copyLog(d.Number, name+".log", std.out)
		}
		known = append(known, string(s.Name))
	}
	if name == "transcript" {
		return c.copyLog(d.Number, pipeline.TranscriptFile, std.out)
	}
	return deploy.Reject(deploy.CodeNotFound, "deployment %d has no stage %q", d.Number, name).WithHint("it has: %s, transcript", join(known))
}

// copyLog writes one file of a deployment. A log that was pruned is nothing to fail for.
func (c *commands) copyLog(n deploy.Number, file string, to io.Writer) error {
	f, err := os.Open(filepath.Join(c.layout.Deployment(n), file))
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(to, "(no log)")
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	defer f.Close()
	_, err = io.Copy(to, f)
	return err
}

// watchInterval is how often a watched transcript is looked at.
const watchInterval = 100 * time.Millisecond

// watch writes what the pusher reads, from its beginning, until the verdict. Its exit status tells it.
func (c *commands) watch(ctx context.Context, who caller, args []string, std stdio) error {
	names, err := newFlags("watch").parse(args, 1, 1)
	if err != nil {
		return err
	}
	d, err := c.deployment(ctx, who, names[0], deploy.RightRead)
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(c.layout.Deployment(d.Number), pipeline.TranscriptFile))
	if err != nil {
		return fmt.Errorf("opening the transcript: %w", err)
	}
	defer f.Close()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		if d, err = c.store.Deployment(ctx, d.Number); err != nil {
			return err
		}
		running := c.pipeline.Running(d.Number)
		if _, err := io.Copy(std.out, f); err != nil {
			return err
		}
		if !running {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if d.Status != deploy.StatusAccepted {
		return exitStatus(exitFailed)
	}
	return nil
}

func (c *commands) cancel(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("cancel")
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	d, err := c.deployment(ctx, who, names[0], deploy.RightPush)
	if err != nil {
		return err
	}
	if err := c.pipeline.Cancel(d.Number, who.actor, *reason); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "deployment %d is being canceled\n", d.Number)
	return nil
}
