package webui

import (
	"net/http"
	"strconv"
	"strings"

	"slipway/deploy"
)

// cancel ends a deployment that has not been switched.
func (s *Site) cancel(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	n, err := numberOf(r)
	if err == nil {
		err = s.Control.Cancel(r.Context(), who, n, r.PostFormValue("reason"))
	}
	if err != nil {
		return err
	}
	s.done(w, r, who, address(n), "deployment "+n.String()+" is being canceled")
	return nil
}

// markRegression says that a deployment had broken something.
func (s *Site) markRegression(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	fixedBy := int64(0)
	if text := strings.TrimSpace(r.PostFormValue("fixed_by")); text != "" {
		if fixedBy, err = strconv.ParseInt(text, 10, 64); err != nil || fixedBy <= 0 {
			return deploy.Reject(deploy.CodeUsage, "%.20q is no number of a deployment", text)
		}
	}
	if _, err := s.Control.MarkRegression(r.Context(), who, n, r.PostFormValue("reason"), deploy.Number(fixedBy)); err != nil {
		return err
	}
	s.done(w, r, who, address(n), "deployment "+n.String()+" is marked as a regression")
	return nil
}
