package webui

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"slipway/deploy"
)

// Config is what a [Site] is wired from. Every field is needed.
type Config struct {
	Control  Control
	Sessions Sessions
	Traffic  Traffic
	Manual   Manual
	IP       func(*http.Request) string // where a request comes from
	Places   Places
	TooMany  func(ip string) bool // counts a sign-in that failed, and tells whether there were too many
	Secure   bool                 // the pages are reached by TLS, so cookies are sent by TLS only
	Stopping <-chan struct{}      // closed when live streams have to end
	Now      func() time.Time
	Logger   *slog.Logger
}

// Places are the addresses that pages tell people.
type Places interface {
	SSH() string                 // what a command begins with: ssh -p 2222 host
	Clone(deploy.AppName) string // an app's repository
	App(deploy.AppName) string   // where an app answers
}

// Site serves the pages. It is safe for concurrent use.
type Site struct {
	Config
	pages    *Pages
	notices  notices
	watches  watches
	quays    quays
	patience time.Duration // with slow readers of streams
	handler  http.Handler
}

// New makes a site. It starts nothing.
func New(c Config) (*Site, error) {
	pages, err := NewPages()
	if err != nil {
		return nil, err
	}
	s := &Site{Config: c, patience: slowTime, pages: pages}
	s.handler = strict(http.NewCrossOriginProtection().Handler(s.routes()))
	return s, nil
}

// ServeHTTP answers whatever is not the API's.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// action answers a request of somebody who is signed in. Its error is shown as a page.
type action func(w http.ResponseWriter, r *http.Request, who deploy.Caller) error

// routes is every address of the site.
func (s *Site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", s.pages.assets)
	mux.HandleFunc("GET /login", s.signInPage)
	mux.HandleFunc("POST /login", s.signIn)
	for pattern, do := range s.actions() {
		mux.Handle(pattern, s.signedIn(do))
	}
	for pattern, do := range s.deploymentActions() {
		mux.Handle(pattern, s.signedIn(do))
	}
	return mux
}

// actions are the addresses for those who are signed in.
func (s *Site) actions() map[string]action {
	return map[string]action{
		"GET /{$}":                  s.production,
		"GET /live":                 s.productionLive,
		"GET /apps/{app}":           s.app,
		"POST /apps/{app}/rollback": s.rollBack,
		"POST /apps/{app}/redeploy": s.redeploy,
		"POST /apps/{app}/freeze":   s.freeze,
		"POST /apps/{app}/unfreeze": s.unfreeze,
		"GET /deployments":          s.history,
		"GET /deployments.csv":      s.historyCSV,
		"GET /stats":                s.stats,
		"GET /audit":                s.audit,
		"GET /audit.jsonl":          s.auditExport,
		"POST /audit/verification":  s.verify,
		"GET /users":                s.people,
		"POST /tokens/{id}/revoke":  s.revokeToken,
		"POST /sessions/{id}/close": s.closeSession,
		"GET /help":                 s.help,
		"POST /logout":              s.signOut,
		"/":                         s.nothing,
	}
}

// nothing answers for every address that is not there.
func (s *Site) nothing(http.ResponseWriter, *http.Request, deploy.Caller) error {
	return deploy.Reject(deploy.CodeNotFound, "there is no such page")
}

// maxForm bounds what is sent by a form, in bytes.
const maxForm = 64 << 10

// form reads what was sent, all of it or nothing: who asks for a field must not take one that was cut off for
// one that was left empty.
func form(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return deploy.Reject(deploy.CodeUsage, "what was sent is longer than %d KiB", maxForm>>10)
	}
	if err != nil {
		return deploy.Reject(deploy.CodeUsage, "what was sent cannot be read")
	}
	return nil
}

// signedIn lets through who is signed in; others are sent to the page where one signs in.
func (s *Site) signedIn(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.Caller(r)
		if errors.Is(err, deploy.ErrNotFound) {
			s.toSignIn(w, r)
			return
		}
		if err == nil && r.Method == http.MethodPost {
			err = form(w, r)
		}
		if err == nil {
			err = do(w, r, who)
		}
		if err != nil && r.Context().Err() == nil {
			s.problem(w, r, who, err)
		}
	})
}

// toSignIn sends a reader to the sign-in page, and back after it; what was to be changed is not repeated.
func (s *Site) toSignIn(w http.ResponseWriter, r *http.Request) {
	address := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		address += "?" + query("next", r.URL.RequestURI())
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// show writes a page.
func (s *Site) show(w http.ResponseWriter, status int, page string, view any) error {
	var b bytes.Buffer
	if err := s.pages.Render(&b, page, view); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a reader who has gone is nobody's error
	return nil
}

// frame is what a page shows around its content. It takes the notice of what was just done.
func (s *Site) frame(who deploy.Caller, title, section string) Frame {
	return Frame{Title: title, Section: section, Now: s.Now(), Caller: who, Name: nameOf(who), Notices: s.notices.take(who)}
}

// nameOf is a caller's name, for people.
func nameOf(who deploy.Caller) string {
	if who.User == "" {
		return who.Actor.Name
	}
	return string(who.User)
}

// problem shows why something was not done. A fault is logged and told as one.
func (s *Site) problem(w http.ResponseWriter, r *http.Request, who deploy.Caller, err error) {
	p := &ProblemPage{Frame: s.frame(who, "Problem", ""), Status: http.StatusInternalServerError, Text: "Internal error; the server's log has the rest."}
	if rejection, ok := deploy.AsRejection(err); ok {
		p.Status, p.Text, p.Hint = statusOf(rejection.Code), rejection.Message, rejection.Hint
	} else {
		s.Logger.Error("answering a page", "path", r.URL.Path, "error", err)
	}
	if err := s.show(w, p.Status, "problem", p); err != nil {
		s.Logger.Error("rendering a problem", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

func statusOf(c deploy.Code) int {
	switch c {
	case deploy.CodeNotFound:
		return http.StatusNotFound
	case deploy.CodeForbidden:
		return http.StatusForbidden
	case deploy.CodeUnauthorized:
		return http.StatusUnauthorized
	case deploy.CodeExists, deploy.CodeFrozen, deploy.CodeStale:
		return http.StatusConflict
	case deploy.CodeUnavailable, deploy.CodeTechnical:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// policy lets a page load what the site itself embeds, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// strict adds what tells a browser to be strict with every answer.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// cookieName is the cookie of a session.
const cookieName = "slipway_session"

// cookie is its name where the pages are reached: by TLS one that no other host may set.
func (s *Site) cookie() string {
	if s.Secure {
		return "__Host-" + cookieName
	}
	return cookieName
}

// Caller returns who a request's cookie belongs to, or [deploy.ErrNotFound].
func (s *Site) Caller(r *http.Request) (deploy.Caller, error) {
	cookie, err := r.Cookie(s.cookie())
	if err != nil {
		return deploy.Caller{}, deploy.ErrNotFound
	}
	who, _, err := s.Sessions.SessionCaller(r.Context(), cookie.Value, s.IP(r))
	return who, err
}
