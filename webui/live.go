package webui

import (
	"context"
	"errors"
	"net"
	"net/http"

	"slipway/deploy"
)

// deploymentLive answers /deployments/{n}/live with what happens to a deployment from now on, until it has
// ended: parts of its page, logs that begin, and their lines.
func (s *Site) deploymentLive(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	d, _, err := s.Control.Stages(r.Context(), who, n)
	if err != nil {
		return err
	}
	mayPush, err := s.mayPush(r.Context(), who, d.App)
	if err != nil {
		return err
	}
	shared, leave := s.watches.join(s, n)
	defer leave()
	out, err := s.begun(w, r)
	if err == nil {
		v := &viewer{stream: out, site: s, shared: shared, mayPush: mayPush, stopping: s.Stopping}
		err = out.run(r.Context(), lookInterval, s.Stopping, v.tell)
	}
	return s.cut(r, err)
}

// cut is what is left of an error after which a stream cannot be answered by a page any more: a reader who
// has gone or is slow is nobody's fault, and the others are logged.
func (s *Site) cut(r *http.Request, err error) error {
	var fromNetwork net.Error
	if err != nil && r.Context().Err() == nil && !errors.As(err, &fromNetwork) && !errors.Is(err, context.DeadlineExceeded) {
		s.Logger.Error("streaming to a page", "path", r.URL.Path, "error", err)
	}
	return nil
}

// viewer is one page that follows a deployment.
type viewer struct {
	*stream
	site     *Site
	shared   *watched
	mayPush  bool
	stopping <-chan struct{}
}

// newLog is a log that has begun.
type newLog struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
}

// newLines are lines that a log has got.
type newLines struct {
	ID    string `json:"id"`
	HTML  string `json:"html"`
	Total string `json:"total"`
}

// tell sends what the page does not have, and tells whether there will be no more.
func (v *viewer) tell(ctx context.Context) (ended bool, err error) {
	for {
		seen, err := v.shared.look(ctx)
		if err != nil {
			return false, err
		}
		more, err := v.logs(seen)
		if err != nil {
			return false, err
		}
		if err := v.parts(seen); err != nil {
			return false, err
		}
		if !more {
			return !seen.running, nil
		}
		select { // a long log is not sent to the end of a server that stops
		case <-v.stopping:
			return false, nil
		case <-ctx.Done():
			return false, nil
		default:
		}
	}
}

func (v *viewer) parts(seen *sighting) error {
	for _, p := range seen.parts {
		if v.mayPush && !p.push || !v.mayPush && !p.read {
			continue
		}
		if err := v.part(p); err != nil {
			return err
		}
	}
	return nil
}

// logs sends a piece of each log, and tells whether there are more.
func (v *viewer) logs(seen *sighting) (more bool, err error) {
	for _, name := range seen.logs() {
		if err := v.begin(seen, name); err != nil {
			return false, err
		}
		at := v.at.place(name)
		c, err := v.shared.chunk(seen, name, at.follower)
		if err != nil {
			return false, err
		}
		if c.html == "" {
			continue
		}
		at.follower = c.end
		more = more || c.end.offset < seen.sizes[name]
		if err := v.send("lines", newLines{name, c.html, count(c.end.next-1, "line")}); err != nil {
			return false, err
		}
	}
	return more, nil
}

// begin sends a log that the page does not have, without its lines. The transcript is on every page.
func (v *viewer) begin(seen *sighting, name string) error {
	if v.at.place(name) != nil {
		return nil
	}
	v.at.logs = append(v.at.logs, place{name, follower{next: 1}})
	if name == transcript {
		return nil
	}
	p, err := v.site.part(name, "deployment", "log", v.site.logHead(seen.story, name))
	if err != nil {
		return err
	}
	return v.send("log", newLog{name, p.HTML})
}
