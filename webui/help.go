package webui

import (
	"net/http"

	"slipway/deploy"
)

// help shows the manual, and to admins the configuration that is in force.
func (s *Site) help(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	page := &HelpPage{Frame: s.frame(who, "Help", "help"), Topics: s.Manual.Topics()}
	name := r.URL.Query().Get("topic")
	for i, topic := range page.Topics {
		if topic.Name == name || i == 0 && name == "" {
			page.Topic = topic
		}
	}
	if page.Topic.Name == "" {
		return deploy.Reject(deploy.CodeNotFound, "the manual has no page %.60q", name)
	}
	if who.Everything() {
		page.Setting = s.Manual.Settings()
	}
	return s.show(w, http.StatusOK, "help", page)
}
