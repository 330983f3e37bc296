package control

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
)

const (
	// sessionTime is how long a session lasts.
	sessionTime = 12 * time.Hour
	// maxAgent is how much is kept of what a browser calls itself, in bytes.
	maxAgent = 200
	// maxSessions is how many sessions a user may have; a further one closes the oldest.
	maxSessions = 20
)

// The value of a session's cookie is ID_RANDOM. RANDOM has 130 bits.
var cookiePattern = regexp.MustCompile(`^([a-z2-7]{10})_([a-z2-7]{26})$`)

// OpenByToken opens a session with a token's rights, which ends when the token does. It returns the
// cookie's value, which is kept nowhere.
func (c *Control) OpenByToken(ctx context.Context, secret string, from deploy.Visit) (deploy.Session, string, error) {
	who, token, err := c.CallerByToken(ctx, secret, from.IP, "web")
	if err != nil {
		return deploy.Session{}, "", err
	}
	return c.open(ctx, who, deploy.Session{User: token.User, Token: token.ID, ExpiresAt: token.ExpiresAt}, from)
}

// open records a session of somebody who has proved who it is.
func (c *Control) open(ctx context.Context, who deploy.Caller, s deploy.Session, from deploy.Visit) (deploy.Session, string, error) {
	if err := c.makeRoom(ctx, who, s); err != nil {
		return deploy.Session{}, "", err
	}
	s.ID = strings.ToLower(rand.Text()[:10])
	cookie := s.ID + "_" + strings.ToLower(rand.Text())
	s.Hash, s.OpenedAt, s.IP = hashOf(cookie), now(), from.IP
	agent, err := reasonOf(from.Agent[:min(len(from.Agent), maxAgent)])
	if err != nil {
		return deploy.Session{}, "", err
	}
	s.Agent = agent[:min(len(agent), maxAgent)]
	if end := s.OpenedAt.Add(sessionTime); s.ExpiresAt.IsZero() || end.Before(s.ExpiresAt) {
		s.ExpiresAt = end
	}
	if err := c.Record(ctx, who, deploy.Event{Type: deploy.EventSessionOpened}.WithData(s)); err != nil {
		return deploy.Session{}, "", err
	}
	return hidden(s), cookie, nil
}

// makeRoom closes the oldest sessions of whoever has too many.
func (c *Control) makeRoom(ctx context.Context, who deploy.Caller, s deploy.Session) error {
	all, err := c.living(ctx)
	if err != nil {
		return err
	}
	mine := slices.DeleteFunc(all, func(o deploy.Session) bool { return o.User != s.User || s.User == "" && o.Token != s.Token })
	if len(mine) < maxSessions {
		return nil
	}
	for _, old := range mine[maxSessions-1:] { // newest first
		if err := c.close(ctx, who, old); err != nil {
			return err
		}
	}
	return nil
}

// SessionCaller returns who comes with a session's cookie: the user with the rights that it has now, or
// within the limit of the token that opened the session. It is [deploy.ErrNotFound] if the session was
// closed, has expired, or has lost its user or token.
func (c *Control) SessionCaller(ctx context.Context, cookie, ip string) (deploy.Caller, deploy.Session, error) {
	m := cookiePattern.FindStringSubmatch(cookie)
	if m == nil {
		return deploy.Caller{}, deploy.Session{}, deploy.ErrNotFound
	}
	s, err := c.Records.Session(ctx, m[1])
	if err != nil {
		return deploy.Caller{}, deploy.Session{}, err
	}
	if subtle.ConstantTimeCompare([]byte(s.Hash), []byte(hashOf(cookie))) != 1 || !time.Now().Before(s.ExpiresAt) {
		return deploy.Caller{}, deploy.Session{}, deploy.ErrNotFound
	}
	who, err := c.sessionCaller(ctx, s, ip)
	if err != nil {
		return deploy.Caller{}, deploy.Session{}, err
	}
	who.Actor.Key = deploy.KeySession + s.ID
	who.Key = deploy.Pusher{Fingerprint: who.Actor.Key, IP: ip}
	return who, hidden(s), nil
}

func (c *Control) sessionCaller(ctx context.Context, s deploy.Session, ip string) (deploy.Caller, error) {
	if s.Token != "" {
		token, err := c.Records.Token(ctx, s.Token)
		if err != nil {
			return deploy.Caller{}, err
		}
		if !valid(token) {
			return deploy.Caller{}, deploy.ErrNotFound
		}
		return c.callerOf(ctx, token, ip, "web")
	}
	if s.User == "" {
		return operatorOnWeb(ip), nil
	}
	user, err := c.Records.User(ctx, s.User)
	if err != nil {
		return deploy.Caller{}, err
	}
	return userOnWeb(user, ip), nil
}

func operatorOnWeb(ip string) deploy.Caller {
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorOperator, Name: string(deploy.Operator), IP: ip, Origin: "web"}, Admin: true}
}

func userOnWeb(u deploy.User, ip string) deploy.Caller {
	actor := deploy.Actor{Type: deploy.ActorUser, Name: string(u.Name), IP: ip, Origin: "web"}
	return deploy.Caller{Actor: actor, User: u.Name, Admin: u.Role == deploy.RoleAdmin}
}

// Sessions returns the caller's sessions, and everybody's for admins, the newest first and without hashes.
func (c *Control) Sessions(ctx context.Context, who deploy.Caller) ([]deploy.Session, error) {
	all, err := c.living(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s deploy.Session) bool { return !mayClose(who, s) }), nil
}

// CloseSession signs a browser out: the caller's own or, for admins, anybody's.
func (c *Control) CloseSession(ctx context.Context, who deploy.Caller, id string) error {
	s, err := c.Records.Session(ctx, id)
	if errors.Is(err, deploy.ErrNotFound) || err == nil && !mayClose(who, s) {
		return deploy.Reject(deploy.CodeNotFound, "there is no session %.60q", id)
	}
	if err != nil {
		return err
	}
	return c.close(ctx, who, s)
}

func (c *Control) close(ctx context.Context, who deploy.Caller, s deploy.Session) error {
	return c.Record(ctx, who, deploy.Event{Type: deploy.EventSessionClosed}.WithData(deploy.Session{ID: s.ID, User: s.User}))
}

// mayClose lets everybody sign out, also those who come with less than their own rights.
func mayClose(who deploy.Caller, s deploy.Session) bool {
	return who.Actor.Key == deploy.KeySession+s.ID || ownOrAdmin(who, s.User) == nil
}

// living are the sessions that can be used, newest first.
func (c *Control) living(ctx context.Context) ([]deploy.Session, error) {
	all, err := c.Records.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	var living []deploy.Session
	for _, s := range all {
		if !time.Now().Before(s.ExpiresAt) {
			continue
		}
		if s.Token != "" {
			token, err := c.Records.Token(ctx, s.Token)
			if errors.Is(err, deploy.ErrNotFound) || err == nil && !valid(token) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		living = append(living, hidden(s))
	}
	return living, nil
}

// hidden is a session as people see it.
func hidden(s deploy.Session) deploy.Session {
	s.Hash = ""
	return s
}
