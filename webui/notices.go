package webui

import (
	"net/http"
	"sync"

	"slipway/deploy"
)

// maxNotices bounds what is kept for readers who do not come back.
const maxNotices = 1000

// notices are what a session's next page tells once: what was just done.
type notices struct {
	mu  sync.Mutex
	all map[string]Notice // by the key of the session
}

func (n *notices) put(who deploy.Caller, one Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil || len(n.all) >= maxNotices {
		n.all = map[string]Notice{}
	}
	n.all[who.Actor.Key] = one
}

// take returns what there is to tell, and forgets it.
func (n *notices) take(who deploy.Caller) []Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	one, ok := n.all[who.Actor.Key]
	if !ok {
		return nil
	}
	delete(n.all, who.Actor.Key)
	return []Notice{one}
}

// done sends a reader on after something was done, with a notice that says so once.
func (s *Site) done(w http.ResponseWriter, r *http.Request, who deploy.Caller, to, text string) {
	s.tellNext(w, r, who, to, Notice{Class: "run", Word: "Done:", Text: text})
}

// tellNext sends a reader on, with a notice that is shown once.
func (s *Site) tellNext(w http.ResponseWriter, r *http.Request, who deploy.Caller, to string, one Notice) {
	s.notices.put(who, one)
	http.Redirect(w, r, to, http.StatusSeeOther)
}
