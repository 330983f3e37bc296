package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"slipway/deploy"
	"slipway/deploy/control"
)

func (c *commands) deployments(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("deployments")
	most := f.Int("n", 20, "")
	revision := f.String("revision", "", "")
	names, err := f.parse(args, 0, 1)
	if err != nil {
		return err
	}
	if *most < 1 || *most > 1000 {
		return usageError("-n is 1 to 1000")
	}
	filter := deploy.DeploymentFilter{Limit: *most}
	if len(names) == 1 {
		if filter.App, err = appNamed(names[0]); err != nil {
			return err
		}
	}
	if *revision != "" {
		if filter.Revision, err = deploy.ParseOIDPrefix(*revision); err != nil {
			return usageError(err.Error())
		}
	}
	page, err := c.control.Deployments(ctx, who, filter)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, d := range page {
		fmt.Fprintln(t, deploymentLine(d))
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

func (c *commands) log(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("log").parse(args, 1, 2)
	if err != nil {
		return err
	}
	n, err := numbered(names[0])
	if err != nil {
		return err
	}
	show := func(name string) error {
		path, err := c.control.LogPath(ctx, who, n, name)
		if err != nil {
			return err
		}
		return copyLog(path, std.out)
	}
	if len(names) == 2 {
		return show(names[1])
	}
	d, stages, err := c.control.Stages(ctx, who, n)
	if err != nil {
		return err
	}
	for _, s := range stages {
		fmt.Fprintf(std.out, "=== %s  %s\n", s.Name, outcomeWord(s.Stage))
		if err := show(string(s.Name)); err != nil {
			return err
		}
	}
	if len(stages) == 0 {
		return show(control.Transcript)
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

// copyLog writes one file of a deployment. A log that was pruned is nothing to fail for.
func copyLog(path string, to io.Writer) error {
	f, err := os.Open(path)
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
func (c *commands) watch(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("watch").parse(args, 1, 1)
	if err != nil {
		return err
	}
	n, err := numbered(names[0])
	if err != nil {
		return err
	}
	path, err := c.control.LogPath(ctx, who, n, control.Transcript)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the transcript: %w", err)
	}
	defer f.Close()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var d deploy.Deployment
	for {
		if d, err = c.control.Deployment(ctx, who, n, deploy.RightRead); err != nil {
			return err
		}
		running := c.control.Running(n)
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

func (c *commands) cancel(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("cancel")
	reason := f.String("reason", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	n, err := numbered(names[0])
	if err != nil {
		return err
	}
	if err := c.control.Cancel(ctx, who, n, *reason); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "deployment %d is being canceled\n", n)
	return nil
}
