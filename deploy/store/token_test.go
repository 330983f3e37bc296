package store_test

import (
	"errors"
	"testing"
	"time"

	"slipway/deploy"
)

// TestTokens: a token ends with its user and with its app, also where another is given the name.
func TestTokens(t *testing.T) {
	ctx := t.Context()
	h := newHistory(t)
	s, project := h.store, func(e deploy.Event) { h.add(e) }
	project(userCreated("alice", deploy.RoleDeveloper))
	project(appCreated("shop", 1))
	token := func(id string, user deploy.UserName, app deploy.AppName) deploy.Event {
		return deploy.Event{Type: deploy.EventTokenCreated}.WithData(deploy.Token{
			ID: id, Name: "ci", User: user, Limit: deploy.Limit{Role: deploy.RoleViewer, App: app}, Hash: "ab12",
			ExpiresAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		})
	}
	project(token("hers", "alice", ""))
	project(token("shops", "", "shop"))
	project(token("other", "", ""))
	if err := s.Check(ctx, token("hers", "alice", ""), 5); !errors.Is(err, deploy.ErrExists) {
		t.Errorf("an ID given again: %v", err)
	}
	if err := s.Check(ctx, token("new", "bob", ""), 5); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("a token of nobody there: %v", err)
	}
	if err := s.Check(ctx, token("new", "alice", "blog"), 5); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("a token for an app that is not there: %v", err)
	}
	got, err := s.Token(ctx, "hers")
	if err != nil || got.User != "alice" || got.Hash != "ab12" || got.Limit.Role != deploy.RoleViewer || got.ExpiresAt.Year() != 2027 {
		t.Fatalf("token %+v, error %v", got, err)
	}
	project(deploy.Event{Type: deploy.EventUserRemoved}.WithData(deploy.User{Name: "alice"}))
	project(deploy.Event{Type: deploy.EventAppRemoved, App: "shop"})
	project(userCreated("alice", deploy.RoleAdmin))
	left, err := s.Tokens(ctx)
	if err != nil || len(left) != 1 || left[0].ID != "other" {
		t.Fatalf("left are %+v, error %v", left, err)
	}
	revoke := deploy.Event{Type: deploy.EventTokenRevoked}.WithData(deploy.Token{ID: "other"})
	if err := s.Check(ctx, revoke, 8); err != nil {
		t.Error(err)
	}
	project(revoke)
	if err := s.Check(ctx, revoke, 9); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if got, err := s.Token(ctx, "other"); err != nil || got.RevokedAt.IsZero() {
		t.Errorf("token %+v, error %v", got, err)
	}
}
