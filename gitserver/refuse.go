package gitserver

import (
	"context"
	"fmt"
	"time"

	"slipway/deploy"
	"slipway/gitserver/pktline"
)

// refuse answers in git's protocol, before it has started: clients print the text after "fatal:
// remote error:".
func (s *session) refuse(format string, args ...any) int {
	_ = pktline.NewWriter(s.channel).String("ERR " + fmt.Sprintf(format, args...))
	return 1
}

// turnAway refuses a push of which nothing has been read yet.
func (s *session) turnAway(app deploy.App, r *deploy.Rejection) int {
	s.recordRefused(app, r)
	return s.refuse("%s", r.Message)
}

// recordRefused records a push whose updates nobody has looked at: which refs it was to move is not known.
func (s *session) recordRefused(app deploy.App, r *deploy.Rejection) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 10*time.Second)
	defer cancel()
	event := deploy.Event{
		Type: deploy.EventPushRefused, Actor: s.caller.Pusher.Actor(), App: app.Name, Environment: deploy.Production,
		Outcome: deploy.OutcomeFail, Reason: r.Message,
	}.WithData(r.Bounded())
	if err := s.server.config.Recorder.Record(ctx, event); err != nil {
		s.server.logger.Error("recording a refused push", "app", app.Name, "error", err)
	}
}
