package control

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
)

const (
	// linkTime is how long a sign-in link can be used.
	linkTime = 5 * time.Minute
	// maxLinks is how many links of one user can be used; a further one ends the oldest.
	maxLinks = 5
)

// links are the sign-in links that were made and not used yet. They are kept in memory alone: a restart of
// the server ends them.
type links struct {
	mu  sync.Mutex
	all []link // oldest first
}

type link struct {
	hash      string
	user      deploy.UserName // "" for the operator
	since     time.Time       // the user's: another one may be given its name
	expiresAt time.Time
}

func (l *links) add(one link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	mine := 0
	for i := len(l.all) - 1; i >= 0; i-- {
		if l.all[i].user != one.user {
			continue
		}
		if mine++; mine >= maxLinks {
			l.all = slices.Delete(l.all, i, i+1)
		}
	}
	l.all = append(l.all, one)
}

// take returns the link of a secret, and ends it. It compares with every link, so that the time it takes
// tells nothing.
func (l *links) take(secret string) (link, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	hash, found := []byte(hashOf(secret)), -1
	for i, one := range l.all {
		if subtle.ConstantTimeCompare(hash, []byte(one.hash)) == 1 {
			found = i
		}
	}
	if found < 0 {
		return link{}, false
	}
	one := l.all[found]
	l.all = slices.Delete(l.all, found, found+1)
	return one, true
}

// forget drops those that have expired.
func (l *links) forget() {
	present := time.Now()
	l.all = slices.DeleteFunc(l.all, func(one link) bool { return !present.Before(one.expiresAt) })
}

// SignInLink makes the secret of a link that signs in once, within the time that it returns, as the caller.
// The operator at the server may name another user. It is recorded that a link was made, and nothing of it.
func (c *Control) SignInLink(ctx context.Context, who deploy.Caller, as deploy.UserName) (string, time.Duration, error) {
	if who.Limit != nil {
		return "", 0, deploy.Reject(deploy.CodeForbidden, "a token makes no sign-in links").WithHint("sign in with the token itself")
	}
	if as == "" {
		as = who.User
	}
	if as != who.User && who.Actor.Type != deploy.ActorOperator {
		return "", 0, deploy.Reject(deploy.CodeForbidden, "only the operator at the server may sign in as somebody else")
	}
	one := link{user: as, expiresAt: time.Now().Add(linkTime)}
	if as != "" {
		user, err := c.user(ctx, as)
		if err != nil {
			return "", 0, err
		}
		one.since = user.CreatedAt
	}
	secret := strings.ToLower(rand.Text())
	one.hash = hashOf(secret)
	made := deploy.Event{Type: deploy.EventLinkCreated}.WithData(deploy.LinkData{User: as, ExpiresAt: one.expiresAt.UTC().Truncate(time.Millisecond)})
	if err := c.Record(ctx, who, made); err != nil {
		return "", 0, err
	}
	c.links.add(one)
	return secret, linkTime, nil
}

// OpenByLink opens a session for whom a link was made, and ends the link. It returns the cookie's value,
// which is kept nowhere.
func (c *Control) OpenByLink(ctx context.Context, secret string, from deploy.Visit) (deploy.Session, string, error) {
	refused := deploy.Reject(deploy.CodeUnauthorized, "the link was used already, is older than five minutes, or was never made")
	one, ok := c.links.take(secret)
	if !ok {
		return deploy.Session{}, "", refused
	}
	who := operatorOnWeb(from.IP)
	if one.user != "" {
		user, err := c.Records.User(ctx, one.user)
		if errors.Is(err, deploy.ErrNotFound) || err == nil && !user.CreatedAt.Equal(one.since) {
			return deploy.Session{}, "", refused
		}
		if err != nil {
			return deploy.Session{}, "", err
		}
		who = userOnWeb(user, from.IP)
	}
	return c.open(ctx, who, deploy.Session{User: one.user}, from)
}
