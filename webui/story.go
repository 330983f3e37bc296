package webui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"slipway/deploy"
)

// History is what was and is deployed, told in full.
type History interface {
	Running(n deploy.Number) bool
	Role(ctx context.Context, who deploy.Caller, app deploy.AppName) (deploy.Role, error)
	Events(ctx context.Context, who deploy.Caller, f deploy.EventFilter) ([]deploy.Event, error)
	LogPath(ctx context.Context, who deploy.Caller, n deploy.Number, name string) (string, error)
	MeasurementsPath(ctx context.Context, who deploy.Caller, n deploy.Number) (string, error)
	Commits(ctx context.Context, who deploy.Caller, n deploy.Number, most int) (deploy.History, error)
	Diff(ctx context.Context, who deploy.Caller, n deploy.Number, limits deploy.DiffLimits) (deploy.Diff, error)
	Cancel(ctx context.Context, who deploy.Caller, n deploy.Number, reason string) error
	BeginAgain(ctx context.Context, who deploy.Caller, app deploy.AppName, a deploy.Again) (deploy.Number, error)
	MarkRegression(ctx context.Context, who deploy.Caller, n deploy.Number, reason string, fixedBy deploy.Number) (deploy.Regression, error)
}

// transcript is the name, beside those of stages, of the log of what the pusher read.
const transcript = "transcript"

// maxEvents is how many events of a deployment are read. It has about twenty.
const maxEvents = 500

// story is what is recorded of a deployment.
type story struct {
	deploy.Deployment
	running    bool // it is in work or waits: more will follow
	stages     []deploy.StageRecord
	events     []deploy.Event // newest first
	rejection  *deploy.Rejection
	regression *deploy.Regression
}

// story reads what is recorded of a deployment.
func (s *Site) story(ctx context.Context, who deploy.Caller, n deploy.Number) (*story, error) {
	t, err := s.outline(ctx, who, n)
	if err != nil {
		return nil, err
	}
	return t, s.addEvents(ctx, who, t)
}

// outline is a story without its events. Whether it runs is asked first, so what follows is all of one that
// does not.
func (s *Site) outline(ctx context.Context, who deploy.Caller, n deploy.Number) (*story, error) {
	t := &story{running: s.Control.Running(n)}
	var err error
	t.Deployment, t.stages, err = s.Control.Stages(ctx, who, n)
	return t, err
}

func (s *Site) addEvents(ctx context.Context, who deploy.Caller, t *story) error {
	var err error
	if t.events, err = s.Control.Events(ctx, who, deploy.EventFilter{Deployment: t.Number, Limit: maxEvents}); err != nil {
		return err
	}
	return t.read()
}

// read finds in the events what the records do not hold by themselves: the rejection with its hint and
// tail, and the regression that was marked last.
func (t *story) read() error {
	for _, e := range t.events {
		var into any
		switch e.Type {
		case deploy.EventRejected, deploy.EventCanceled, deploy.EventInterrupted, deploy.EventErrored:
			if t.rejection == nil {
				t.rejection = &deploy.Rejection{}
				into = t.rejection
			}
		case deploy.EventRegressionMarked:
			if t.regression == nil {
				t.regression = &deploy.Regression{}
				into = t.regression
			}
		}
		if into == nil || len(e.Data) == 0 {
			continue
		}
		if err := json.Unmarshal(e.Data, into); err != nil {
			return fmt.Errorf("reading event %d: %w", e.Sequence, err)
		}
	}
	return nil
}

// newest is the number of the newest event, 0 without one.
func (t *story) newest() uint64 {
	if len(t.events) == 0 {
		return 0
	}
	return t.events[0].Sequence
}

// stage returns the stage of that name.
func (t *story) stage(name string) (deploy.StageRecord, bool) {
	for _, s := range t.stages {
		if string(s.Name) == name {
			return s, true
		}
	}
	return deploy.StageRecord{}, false
}

// ended tells whether the log of that name does not grow any more.
func (t *story) ended(log string) bool {
	s, found := t.stage(log)
	return !t.running || found && s.Outcome != ""
}

// logs are the names of the logs, the transcript last.
func (t *story) logs() []string {
	var all []string
	for _, s := range t.stages {
		all = append(all, string(s.Name))
	}
	return append(all, transcript)
}

// now is the stage that runs, the latest of several.
func (t *story) now() (deploy.StageRecord, bool) {
	for i := len(t.stages) - 1; i >= 0; i-- {
		if t.stages[i].Outcome == "" {
			return t.stages[i], true
		}
	}
	return deploy.StageRecord{}, false
}

// took is how long something took that may not have ended.
func took(from, to, now time.Time) time.Duration {
	if from.IsZero() {
		return 0
	}
	if to.IsZero() {
		to = now
	}
	return max(0, to.Sub(from))
}

// mayPush tells whether the caller may do more to an app than read. Of an app that was removed nobody may.
func (s *Site) mayPush(ctx context.Context, who deploy.Caller, app deploy.AppName) (bool, error) {
	role, err := s.Control.Role(ctx, who, app)
	if r, ok := deploy.AsRejection(err); ok && r.Code == deploy.CodeNotFound || errors.Is(err, deploy.ErrNotFound) {
		return false, nil
	}
	return deploy.Allows(role, role, deploy.RightPush), err
}
