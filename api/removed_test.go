package api_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

// TestANameGivenAgain: an app takes everything with it that was its own, and each token that it ends is
// recorded. Another app of its name begins with nothing.
func TestANameGivenAgain(t *testing.T) {
	w := newWorld(t)
	boss := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	w.App("shop")
	w.App("blog")
	alice := w.user("alice", deploy.RoleDeveloper)
	for _, app := range []string{"shop", "blog"} {
		w.want(204, boss, "PUT", "/api/v1/apps/"+app+"/grants/alice", `{"role":"developer"}`)
	}
	w.deployed(1, "shop", "alice", "the old shop")
	all, hers, blogs := w.token(alice, deploy.RoleDeveloper, ""), w.token(alice, deploy.RoleDeveloper, "shop"), w.token(alice, deploy.RoleDeveloper, "blog")
	bosss := w.token(controltest.Operator(), deploy.RoleViewer, "shop")
	w.want(204, boss, "PATCH", "/api/v1/apps/shop/variables", `{"items":[{"name":"KEY","value":"old"}]}`)
	w.want(204, boss, "PUT", "/api/v1/apps/shop/freeze", `{"reason":"a holiday"}`)
	w.want(200, boss, "PUT", "/api/v1/deployments/1/regression", `{"reason":"no tax"}`)
	w.want(200, hers, "GET", "/api/v1/apps/shop", "")
	before := w.Recorder.Head().Sequence

	w.want(204, boss, "DELETE", "/api/v1/apps/shop?confirm=shop", "")
	var ended []string
	for _, e := range w.since(before) {
		var of deploy.Token
		if e.Type == deploy.EventTokenRevoked {
			w.Must(json.Unmarshal(e.Data, &of))
			ended = append(ended, of.ID+" of "+string(of.Limit.App)+" by "+e.Actor.Name)
		}
	}
	wanted := []string{idOf(hers) + " of shop by test", idOf(bosss) + " of shop by test"}
	slices.Sort(ended)
	slices.Sort(wanted)
	if !slices.Equal(ended, wanted) {
		t.Errorf("recorded as revoked are %q, want %q", ended, wanted)
	}

	again := func(when string) {
		t.Helper()
		for _, token := range []string{hers, bosss} {
			w.want(401, token, "GET", "/api/v1/me", "")
		}
		w.want(200, blogs, "GET", "/api/v1/apps/blog", "")
		w.want(404, all, "GET", "/api/v1/apps/shop", "")           // the grant
		w.want(404, all, "GET", "/api/v1/deployments/1", "")       // the history
		w.want(200, boss, "GET", "/api/v1/deployments/1", "")      // which is there
		w.want(404, boss, "GET", "/api/v1/deployments/1/diff", "") // but its repository is gone
		for path, old := range map[string]string{
			"/api/v1/apps/shop/grants": "alice", "/api/v1/apps/shop/variables": "KEY", "/api/v1/apps/shop": "a holiday", "/api/v1/apps/shop/releases": "aaaa",
		} {
			if got := w.want(200, boss, "GET", path, ""); strings.Contains(got, old) {
				t.Errorf("%s: GET %s still tells %s:\n%s", when, path, old, got)
			}
		}
	}
	w.App("shop")
	again("the new shop")
	w.Must(w.Recorder.Rebuild(t.Context(), w.Store.Rebuild))
	again("made anew from the log")

	// What the new one did cannot have mended what the old one broke.
	w.deployed(2, "shop", "alice", "the new shop")
	w.want(400, boss, "PUT", "/api/v1/deployments/1/regression", `{"reason":"no tax","fixedBy":2}`)
}

// TestATokenOfAnAppThatGoes: a token that is made while its app is removed is none for the next one.
func TestATokenOfAnAppThatGoes(t *testing.T) {
	w := newWorld(t)
	made := deploy.Event{Type: deploy.EventTokenCreated, Actor: deploy.ServerActor("test")}.WithData(
		deploy.Token{ID: "abcdefghij", Name: "late", Hash: "ab", Limit: deploy.Limit{Role: deploy.RoleViewer, App: "shop"}})
	if _, err := w.Recorder.Record(t.Context(), made); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("a token for no app is recorded, error %v", err)
	}
}

// TestTokensOfAUserWhoGoes: they end with a record each.
func TestTokensOfAUserWhoGoes(t *testing.T) {
	w := newWorld(t)
	boss := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	hers := w.token(w.user("alice", deploy.RoleDeveloper), deploy.RoleDeveloper, "")
	before := w.Recorder.Head().Sequence
	w.want(204, boss, "DELETE", "/api/v1/users/alice", "")
	w.user("alice", deploy.RoleDeveloper)
	w.want(401, hers, "GET", "/api/v1/me", "")
	var types []deploy.EventType
	for _, e := range w.since(before) {
		types = append(types, e.Type)
	}
	slices.Reverse(types) // newest first
	if want := []deploy.EventType{deploy.EventTokenRevoked, deploy.EventUserRemoved, deploy.EventUserCreated}; len(types) < 3 || !slices.Equal(types[:3], want) {
		t.Errorf("recorded are %v, want first %v", types, want)
	}
}

func idOf(secret string) string { return strings.Split(secret, "_")[1] }

// since lists what was recorded after a sequence, newest first.
func (w *world) since(sequence uint64) []deploy.Event {
	w.Helper()
	all, err := w.Store.Events(w.Context(), deploy.EventFilter{After: sequence, Limit: 100})
	w.Must(err)
	return all
}
