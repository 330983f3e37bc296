package webui

import (
	"errors"
	"net/http"
	"strings"

	"slipway/deploy"
)

// signInPage shows how one signs in. A link that is followed shows a button, and is used by pressing it: what
// looks at addresses before people do must not use them up.
func (s *Site) signInPage(w http.ResponseWriter, r *http.Request) {
	link, next := r.URL.Query().Get("link"), local(r.URL.Query().Get("next"))
	who, err := s.Caller(r)
	if err == nil && link == "" {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	if err != nil && !errors.Is(err, deploy.ErrNotFound) {
		s.problem(w, r, who, err)
		return
	}
	s.askToSignIn(w, r, http.StatusOK, &SignInPage{Link: link, Next: next})
}

func (s *Site) askToSignIn(w http.ResponseWriter, r *http.Request, status int, p *SignInPage) {
	p.Frame, p.SSH = Frame{Title: "Sign in", Now: s.Now()}, s.Places.SSH()+" login"
	if err := s.show(w, status, "login", p); err != nil {
		s.problem(w, r, deploy.Caller{}, err)
	}
}

// signIn opens a session by the secret of a link or a token.
func (s *Site) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	secret, open := r.PostFormValue("link"), s.Sessions.OpenByLink
	if secret == "" {
		secret, open = strings.TrimSpace(r.PostFormValue("token")), s.Sessions.OpenByToken
	}
	next := local(r.PostFormValue("next"))
	from := deploy.Visit{IP: s.IP(r), Agent: r.UserAgent()}
	session, cookie, err := open(r.Context(), secret, from)
	if rejection, ok := deploy.AsRejection(err); ok {
		s.signInRefused(w, r, secret, &SignInPage{Next: next, Problem: rejection.Message})
		return
	}
	if err != nil {
		s.problem(w, r, deploy.Caller{}, err)
		return
	}
	s.leaveSession(r)
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie(), Value: cookie, Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteStrictMode,
		MaxAge: max(1, int(session.ExpiresAt.Sub(s.Now()).Seconds())),
	})
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// signInRefused counts an attempt that failed, and has it recorded.
func (s *Site) signInRefused(w http.ResponseWriter, r *http.Request, secret string, p *SignInPage) {
	if err := s.Sessions.SignInFailed(r.Context(), secret, s.IP(r), "web"); err != nil {
		s.problem(w, r, deploy.Caller{}, err)
		return
	}
	if s.TooMany(s.IP(r)) {
		w.Header().Set("Retry-After", "60")
		p.Problem = "too many attempts from where you are: wait a minute"
		s.askToSignIn(w, r, http.StatusTooManyRequests, p)
		return
	}
	s.askToSignIn(w, r, http.StatusUnauthorized, p)
}

// leaveSession ends the session that the browser had before.
func (s *Site) leaveSession(r *http.Request) {
	who, err := s.Caller(r)
	if err == nil {
		err = s.Sessions.CloseSession(r.Context(), who, presentSession(who))
	}
	if err != nil && !errors.Is(err, deploy.ErrNotFound) {
		s.Logger.Error("ending a session for a new one", "error", err)
	}
}

// signOut ends the present session.
func (s *Site) signOut(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	if err := s.Sessions.CloseSession(r.Context(), who, presentSession(who)); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookie(), Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// closeSession signs another browser out.
func (s *Site) closeSession(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	if err := s.Sessions.CloseSession(r.Context(), who, r.PathValue("id")); err != nil {
		return err
	}
	s.done(w, r, who, "/users", "that browser is signed out")
	return nil
}

// presentSession is the session that somebody is signed in by.
func presentSession(who deploy.Caller) string {
	return strings.TrimPrefix(who.Actor.Key, deploy.KeySession)
}

// local returns an address of this site: the given one, or that of the first page.
func local(address string) string {
	if !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") || strings.ContainsAny(address, "\\\r\n\t") {
		return "/"
	}
	return address
}
