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
	s.recordRefusedUpdate(app, deploy.RefUpdate{}, r)
}

func (s *session) recordRefusedUpdate(app deploy.App, u deploy.RefUpdate, r *deploy.Rejection) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 10*time.Second)
	defer cancel()
	event := deploy.Event{
		Type: deploy.EventPushRefused, Actor: s.caller.Pusher.Actor(), App: app.Name, Environment: deploy.Production,
		Ref: u.Ref, Old: u.Old, New: u.New, Outcome: deploy.OutcomeFail, Reason: r.Message,
	}.WithData(r.Bounded())
	if err := s.server.config.Recorder.Record(ctx, event); err != nil {
		s.server.logger.Error("recording a refused push", "app", app.Name, "error", err)
	}
}

// recordNotHandedOn records a push that git has not handed on to the hook.
func (p *push) recordNotHandedOn() {
	if p.handedOn.Load() || p.commands.count() == 0 {
		return
	}
	r := deploy.Reject(deploy.CodeUsage, "git did not take in what was pushed")
	if p.session.ctx.Err() != nil {
		r = deploy.Reject(deploy.CodeCanceled, "the client left before everything was there")
	}
	p.session.recordRefused(p.app, r)
}

// recordRefusals records what was refused and nobody else records, one event for each reason.
func (d *decision) recordRefusals() {
	if n := d.commands.count() - len(d.updates); n > 0 {
		d.session.recordRefused(d.app, deploy.Reject(deploy.CodeUsage, "git itself refused %s of the push", refs(n)))
	}
	first, count := map[string]int{}, map[string]int{}
	var reasons []string
	for i, r := range d.results {
		if r.refused == nil || r.recorded {
			continue
		}
		reason := r.refused.Message
		if count[reason]++; count[reason] == 1 {
			first[reason] = i
			reasons = append(reasons, reason)
		}
	}
	for _, reason := range reasons {
		message := reason
		if more := count[reason] - 1; more > 0 {
			message += fmt.Sprintf("; and so %s more", refs(more))
		}
		one := d.results[first[reason]]
		d.session.recordRefusedUpdate(d.app, one.update, deploy.Reject(one.refused.Code, "%s", message))
	}
}

func refs(n int) string {
	if n == 1 {
		return "1 ref"
	}
	return fmt.Sprintf("%d refs", n)
}
