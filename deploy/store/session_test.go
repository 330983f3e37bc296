package store_test

import (
	"errors"
	"testing"
	"time"

	"slipway/deploy"
)

// TestSessions: a session ends when it is closed and with its user, and is forgotten some time after its end.
func TestSessions(t *testing.T) {
	ctx := t.Context()
	h := newHistory(t)
	s := h.store
	h.add(userCreated("alice", deploy.RoleDeveloper))
	session := func(id string, user deploy.UserName, until time.Time) deploy.Event {
		return deploy.Event{Type: deploy.EventSessionOpened, At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}.WithData(deploy.Session{
			ID: id, User: user, Token: "k3j2", Hash: "ab12", Agent: "Firefox", IP: "192.0.2.7", ExpiresAt: until,
		})
	}
	tonight := time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
	h.add(session("over", "alice", tonight.Add(-20*time.Hour)))
	h.add(session("hers", "alice", tonight))
	h.add(session("operators", "", tonight))
	if err := s.Check(ctx, session("hers", "alice", tonight), 4); !errors.Is(err, deploy.ErrExists) {
		t.Errorf("an ID given again: %v", err)
	}
	if err := s.Check(ctx, session("new", "bob", tonight), 4); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("a session of nobody there: %v", err)
	}
	got, err := s.Session(ctx, "hers")
	if err != nil || got.User != "alice" || got.Token != "k3j2" || got.Hash != "ab12" || got.Agent != "Firefox" || !got.ExpiresAt.Equal(tonight) || got.OpenedAt.Hour() != 10 {
		t.Errorf("session %+v, error %v", got, err)
	}
	if all, err := s.Sessions(ctx); err != nil || len(all) != 2 {
		t.Errorf("sessions %+v, error %v; want the two that have not expired", all, err)
	}
	h.add(deploy.Event{Type: deploy.EventUserRemoved}.WithData(deploy.User{Name: "alice"}))
	if _, err := s.Session(ctx, "hers"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("a removed user's session: %v", err)
	}
	closed := deploy.Event{Type: deploy.EventSessionClosed}.WithData(deploy.Session{ID: "operators"})
	if err := s.Check(ctx, closed, 5); err != nil {
		t.Error(err)
	}
	h.add(closed)
	if err := s.Check(ctx, closed, 6); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("closed twice: %v", err)
	}
}
