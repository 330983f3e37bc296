package webui

import (
	"context"
	"net/http"

	"slipway/deploy"
)

// people shows who may come in and how: everybody to admins, to others what is their own.
func (s *Site) people(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	ctx := r.Context()
	page := &PeoplePage{Frame: s.frame(who, "People", "users")}
	var err error
	if page.Users, err = s.users(ctx, who); err != nil {
		return err
	}
	tokens, err := s.Control.Tokens(ctx, who)
	if _, narrowed := deploy.AsRejection(err); err != nil && !narrowed { // who comes by a narrow token sees none
		return err
	}
	for _, t := range tokens {
		page.Tokens = append(page.Tokens, TokenRow{t, s.tokenState(t)})
	}
	sessions, err := s.Sessions.Sessions(ctx, who)
	if err != nil {
		return err
	}
	for _, session := range sessions {
		page.Sessions = append(page.Sessions, SessionRow{session, session.ID == presentSession(who)})
	}
	return s.show(w, http.StatusOK, "people", page)
}

func (s *Site) tokenState(t deploy.Token) State {
	switch {
	case !t.RevokedAt.IsZero():
		return State{"idle", "–", "revoked"}
	case !t.ExpiresAt.IsZero() && !s.Now().Before(t.ExpiresAt):
		return State{"idle", "–", "expired"}
	}
	return State{"pass", "✓", "valid"}
}

// users are all users with their keys and grants, for admins.
func (s *Site) users(ctx context.Context, who deploy.Caller) ([]UserRow, error) {
	if !who.Everything() {
		return nil, nil
	}
	all, err := s.Control.Users(ctx, who)
	if err != nil {
		return nil, err
	}
	grants, err := s.grants(ctx, who)
	if err != nil {
		return nil, err
	}
	rows := make([]UserRow, len(all))
	for i, user := range all {
		rows[i] = UserRow{User: user, Grants: grants[user.Name]}
		if rows[i].Keys, err = s.Control.Keys(ctx, who, user.Name); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// grants are those on every app, by user.
func (s *Site) grants(ctx context.Context, who deploy.Caller) (map[deploy.UserName][]deploy.Grant, error) {
	apps, err := s.Control.Apps(ctx, who)
	if err != nil {
		return nil, err
	}
	byUser := map[deploy.UserName][]deploy.Grant{}
	for _, app := range apps {
		found, err := s.Control.Grants(ctx, who, app.Name)
		if err != nil {
			return nil, err
		}
		for _, g := range found {
			byUser[g.User] = append(byUser[g.User], g)
		}
	}
	return byUser, nil
}

// revokeToken ends a token.
func (s *Site) revokeToken(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	t, err := s.Control.RevokeToken(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	s.done(w, r, who, "/users", "the token "+t.Name+" ("+t.ID+") is revoked")
	return nil
}
