package webui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

// TestSignInByLink: following a link shows a button, pressing it signs in, once.
func TestSignInByLink(t *testing.T) {
	y := newYard(t)
	_, err := y.Control.AddUser(t.Context(), controltest.Operator(), "alice", deploy.RoleAdmin, nil)
	y.Must(err)
	secret, lasts, err := y.Control.SignInLink(t.Context(), controltest.Operator(), "alice")
	if err != nil || lasts != 5*time.Minute {
		t.Fatalf("a link for %s, error %v", lasts, err)
	}
	alice := y.stranger()
	if _, to := alice.do(http.StatusSeeOther, http.MethodGet, "/deployments?app=shop", ""); to != "/login?next=%2Fdeployments%3Fapp%3Dshop" {
		t.Errorf("a stranger is sent to %s", to)
	}
	for range 3 { // previews
		has(t, alice.get(http.StatusOK, "/login?link="+secret+"&next=/stats"), `name="link" value="`+secret+`"`, `name="next" value="/stats"`)
	}
	if to := alice.post(http.StatusSeeOther, "/login", "link", secret, "next", "/stats"); to != "/stats" {
		t.Errorf("she is sent to %s", to)
	}
	has(t, alice.get(http.StatusOK, "/"), "alice", "Sign out")
	has(t, y.stranger().get(http.StatusOK, "/login"), "ssh -p 2222 host login")
	if to := y.stranger().post(http.StatusUnauthorized, "/login", "link", secret); to != "" {
		t.Errorf("a used link leads to %s", to)
	}
	alice.post(http.StatusSeeOther, "/logout")
	if _, to := alice.do(http.StatusSeeOther, http.MethodGet, "/", ""); to != "/login" {
		t.Errorf("after signing out / leads to %s", to)
	}
}

// TestNextIsHere: nobody is sent to another site by signing in.
func TestNextIsHere(t *testing.T) {
	y := newYard(t)
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "/\tevil", "evil"} {
		secret, _, err := y.Control.SignInLink(t.Context(), controltest.Operator(), "")
		y.Must(err)
		if to := y.stranger().post(http.StatusSeeOther, "/login", "link", secret, "next", next); to != "/" {
			t.Errorf("%q leads to %q", next, to)
		}
	}
}

// TestSessionsEnd: a session is void when it is closed, when its user is removed, and when its token is
// revoked; and it has the rights that its user has then.
func TestSessionsEnd(t *testing.T) {
	y := newYard(t)
	y.App("shop", "blog")
	boss := y.browser("")
	vera := y.user("vera", deploy.RoleViewer, deploy.Grant{App: "shop", Role: deploy.RoleViewer})
	again := y.browser("vera")
	page := vera.get(http.StatusOK, "/users")
	has(t, page, "this one", `action="/sessions/`)
	hasNot(t, page, "operator</td>", "<h2 id=\"users\">")
	_, rest, _ := strings.Cut(page, `action="`)
	_, rest, _ = strings.Cut(rest, `action="/sessions/`) // after the one to sign out
	id, _, _ := strings.Cut(rest, "/")
	if to := vera.post(http.StatusSeeOther, "/sessions/"+id+"/close"); to != "/users" {
		t.Errorf("closing a session leads to %s", to)
	}
	has(t, vera.get(http.StatusOK, "/users"), "that browser is signed out")
	hasNot(t, vera.get(http.StatusOK, "/users"), "that browser is signed out") // told once
	again.get(http.StatusSeeOther, "/")
	vera.post(http.StatusNotFound, "/sessions/"+id+"/close")

	vera.get(http.StatusOK, "/apps/shop")
	y.Must(y.Control.Grant(t.Context(), controltest.Operator(), deploy.Grant{App: "shop", User: "vera"}))
	vera.get(http.StatusNotFound, "/apps/shop")
	y.Must(y.Control.RemoveUser(t.Context(), controltest.Operator(), "vera"))
	vera.get(http.StatusSeeOther, "/")
	_, err := y.Control.AddUser(t.Context(), controltest.Operator(), "vera", deploy.RoleAdmin, nil)
	y.Must(err)
	vera.get(http.StatusSeeOther, "/")

	token, secret, err := y.Control.CreateToken(t.Context(), controltest.Operator(), deploy.NewToken{Name: "phone", Limit: deploy.Limit{Role: deploy.RoleViewer, App: "shop"}, Expires: time.Hour})
	y.Must(err)
	phone := y.stranger()
	phone.post(http.StatusSeeOther, "/login", "token", " "+secret+"\n")
	hasNot(t, phone.get(http.StatusOK, "/"), "blog")
	phone.post(http.StatusForbidden, "/apps/shop/freeze", "reason", "x")
	phone.get(http.StatusOK, "/users")
	boss.post(http.StatusSeeOther, "/tokens/"+token.ID+"/revoke")
	has(t, boss.get(http.StatusOK, "/users"), "the token phone")
	phone.get(http.StatusSeeOther, "/")
}

// TestOtherSites cannot make a signed-in browser do anything.
func TestOtherSites(t *testing.T) {
	y := newYard(t)
	y.App("shop")
	boss := y.browser("")
	for _, headers := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
		for _, path := range []string{"/apps/shop/freeze", "/logout", "/login"} {
			boss.do(http.StatusForbidden, http.MethodPost, path, "reason=x", headers...)
		}
	}
	hasNot(t, boss.get(http.StatusOK, "/"), "Frozen")
}

// TestFailedSignIns are recorded, the first of an address at once, and never say what was wrong.
func TestFailedSignIns(t *testing.T) {
	y := newYard(t)
	b := y.stranger()
	for _, form := range []string{"link=x", "token=x", "token=slipway_aaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaa", ""} {
		text, _ := b.do(http.StatusUnauthorized, http.MethodPost, "/login", form)
		has(t, text, "Not signed in")
	}
	count := func() int {
		events, err := y.Control.Events(t.Context(), controltest.Operator(), deploy.EventFilter{Type: deploy.EventSignInFailed})
		y.Must(err)
		for _, e := range events {
			if e.Actor.IP != "192.0.2.7" || e.Actor.Origin != "web" {
				t.Errorf("recorded was %+v", e.Actor)
			}
		}
		return len(events)
	}
	if n := count(); n != 1 {
		t.Errorf("%d failed sign-ins are recorded, want the first; the others are told once a minute", n)
	}
	y.tooMany = true
	text, _ := b.do(http.StatusTooManyRequests, http.MethodPost, "/login", "link=x")
	has(t, text, "wait a minute")
	if n := count(); n != 1 {
		t.Errorf("%d failed sign-ins are recorded, want the first still", n)
	}
	b.do(http.StatusTooManyRequests, http.MethodPost, "/login", "link="+strings.Repeat("x", 1<<20))
}
